// Package report turns plans, problems, events and run reports into text for a terminal, Markdown for
// a pull-request comment, JSON for a pipeline and one HTML page for a reviewer. It promises that the
// same input gives the same bytes, that output is bounded, that no secret is in it, and that nothing a
// platform or a manifest says can steer a terminal, a comment, a page or a CI runner: all of it is
// data. It refuses to decide anything: what it is given is what it shows.
package report
