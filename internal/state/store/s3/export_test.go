package s3

// Base returns the address that keys are below.
func (b *Bucket) Base() string { return b.base.String() }
