package platform

// DoubtfulList is the error of a listing whose pages agree with each other and that still may lack
// agents: nothing in the answers can tell. Who knows by other means what must be in it can decide
// whether to take Agents for the whole.
type DoubtfulList struct {
	// Agents are those that were listed.
	Agents []Remote
	// Reason says in a sentence why there may be more.
	Reason string
	// SameTime reports that there can be more only of the createdAt of one that was listed.
	SameTime bool
}

// Error returns the reason.
func (d *DoubtfulList) Error() string { return d.Reason }
