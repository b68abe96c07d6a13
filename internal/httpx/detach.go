package httpx

import "context"

// detached is the key of the context that ends the waiting of a request that is detached from it.
type detached struct{}

// Detach returns a context for a request that must not be cut short once it has left: the end of ctx
// does not end it, but it ends its waiting for the pace, and the request is then not sent.
func Detach(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), detached{}, ctx)
}

// waiting returns the context that ends a request's waiting for the pace.
func waiting(ctx context.Context) context.Context {
	if from, ok := ctx.Value(detached{}).(context.Context); ok {
		return from
	}
	return ctx
}
