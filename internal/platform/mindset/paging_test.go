package mindset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentsync/internal/platform"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// server pages over agents whose times stand in ms, in order.
type server struct {
	ms        []int
	size      int           // agents in a page
	show      time.Duration // to what answered times are truncated
	compare   time.Duration // to what compared times are truncated
	inclusive bool          // startAfter includes its own time
	deaf      bool          // startAfter is not heeded
	asked     int
}

func (s *server) ask(_ context.Context, after string) (page []platform.Remote, err error) {
	s.asked++
	var from time.Time
	if after != "" && !s.deaf {
		if from, err = time.Parse(time.RFC3339Nano, after); err != nil {
			return nil, err
		}
	}
	for i, ms := range s.ms {
		at := epoch.Add(time.Duration(ms) * time.Millisecond)
		key := at.Truncate(max(s.compare, 1))
		if (key.After(from) || s.inclusive && key.Equal(from)) && len(page) < s.size {
			page = append(page, platform.Remote{UID: fmt.Sprint("u", i), CreatedAt: at.Truncate(max(s.show, 1))})
		}
	}
	return page, nil
}

// every returns n times that are each step milliseconds apart.
func every(n, step int) (ms []int) {
	for i := range n {
		ms = append(ms, i*step)
	}
	return ms
}

// An agent whose createdAt cannot be read stands where it stands, also at a page's end.
func TestPagingOverAgentsWithoutATime(t *testing.T) {
	for size := 2; size < 9; size++ {
		for odd := range 8 {
			s := server{ms: every(8, 2), size: size}
			got, err := listAll(t.Context(), func(ctx context.Context, after string) ([]platform.Remote, error) {
				page, err := s.ask(ctx, after)
				for i := range page {
					if page[i].UID == fmt.Sprint("u", odd) {
						page[i].CreatedAt = time.Time{}
					}
				}
				return page, err
			})
			if err != nil || len(got) != 8 {
				t.Errorf("page size %d, agent %d without a time: %d agents, %v", size, odd, len(got), err)
			}
		}
	}
}

func TestPaging(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		server
		says string // part of the error; "" wants the whole list
	}{
		"nothing":                    {server: server{size: 3}},
		"one agent":                  {server: server{ms: []int{1}, size: 3}},
		"one agent fills the page":   {server: server{ms: []int{1}, size: 1}},
		"whole pages":                {server: server{ms: []int{1, 2, 3, 4, 5, 6}, size: 3}},
		"a tie at a page's end":      {server: server{ms: []int{1, 2, 3, 3, 4}, size: 3}},
		"a tie fills most of a page": {server: server{ms: []int{1, 2, 2, 2, 2, 3, 4}, size: 5}},
		"startAfter inclusive":       {server: server{ms: []int{1, 2, 3, 3, 4, 9}, size: 3, inclusive: true}},
		"times shown in seconds": {server: server{ms: []int{100, 900, 1100, 1200, 2500, 2600}, size: 4,
			show: second}},
		"times kept in seconds": {server: server{ms: []int{100, 900, 1100, 1200, 2500, 2600}, size: 4,
			show: second, compare: second}},
		"more in a second than in a page": {server: server{ms: every(120, 8), size: 50, show: second}},
		"the same, startAfter inclusive":  {server: server{ms: every(120, 8), size: 50, show: second, inclusive: true}},
		"the same, kept in seconds": {server: server{ms: every(120, 8), size: 50, show: second, compare: second},
			says: "delete one of the 50 at the platform, such as u49"},
		"two full seconds":                    {server: server{ms: every(400, 5), size: 20, show: second}},
		"a full second that ends with a page": {server: server{ms: every(100, 9), size: 50, show: second}},
		"all in one second": {server: server{ms: []int{100, 200, 300}, size: 50, show: second,
			compare: second}},
		"a tie longer than a page":     {server: server{ms: []int{1, 2, 2, 2, 2, 3}, size: 3}, says: "may be hidden"},
		"a tie that ends the list":     {server: server{ms: []int{1, 2, 2, 2, 2}, size: 3}, says: "may be hidden"},
		"a tie that just fills a page": {server: server{ms: []int{1, 2, 3, 3}, size: 2}, says: "may be hidden"},
		"a first page of one time":     {server: server{ms: []int{1, 1, 1, 2}, size: 2}, says: "may be hidden"},
		"ten agents of one time": {server: server{ms: slices.Repeat([]int{1}, 11), size: 10},
			says: "may be hidden"},
		"one agent a page": {server: server{ms: []int{1, 2}, size: 1}, says: "hold one agent each"},
		"startAfter not heeded": {server: server{ms: []int{1, 2, 3}, size: 2, deaf: true},
			says: "does not heed startAfter"},
		"startAfter not heeded, no page": {server: server{ms: []int{1, 2, 3}, size: 9, deaf: true},
			says: "does not heed startAfter"},
		"startAfter not heeded, one time": {server: server{ms: []int{1, 1}, size: 2, deaf: true},
			says: "does not heed startAfter"},
		"newest first": {server: server{ms: []int{3, 2, 1}, size: 9}, says: "not in order"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := listAll(t.Context(), c.ask)
			switch {
			case c.says == "" && (err != nil || len(got) != len(c.ms)):
				t.Errorf("%d of %d agents, %v", len(got), len(c.ms), err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%d agents, %v; want %q", len(got), err, c.says)
			}
		})
	}
}

// Whatever the ties, a list is whole or an error, each agent is in it once, and it ends.
func TestPagingProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := server{
			ms:        rapid.SliceOfN(rapid.IntRange(0, 4000), 0, 60).Draw(t, "ms"),
			size:      rapid.IntRange(1, 20).Draw(t, "size"),
			show:      rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second}).Draw(t, "show"),
			inclusive: rapid.Bool().Draw(t, "inclusive"),
		}
		s.compare = rapid.SampledFrom([]time.Duration{time.Millisecond, s.show}).Draw(t, "compare")
		slices.Sort(s.ms)
		got, err := listAll(context.Background(), s.ask)
		if s.asked > 15*(len(s.ms)+1) {
			t.Fatalf("%d requests for %d agents", s.asked, len(s.ms))
		}
		uids, times := map[string]bool{}, map[time.Time]bool{}
		doubtful, _ := errors.AsType[*platform.DoubtfulList](err)
		if doubtful != nil && doubtful.SameTime {
			got = doubtful.Agents
		}
		for _, r := range got {
			if uids[r.UID] {
				t.Fatalf("%s twice", r.UID)
			}
			uids[r.UID], times[r.CreatedAt] = true, true
		}
		for i, ms := range s.ms {
			at := epoch.Add(time.Duration(ms) * time.Millisecond).Truncate(s.show)
			if doubtful != nil && doubtful.SameTime && !uids[fmt.Sprint("u", i)] && !times[at] {
				t.Fatalf("u%d is missing, and no agent of its time is listed", i)
			}
		}
		if err == nil && len(got) != len(s.ms) && !indistinguishable(s, len(got)) {
			t.Fatalf("%d of %d agents and no error", len(got), len(s.ms))
		}
	})
}

// indistinguishable is the one case that no client can tell from a whole list, see looksFull: one page,
// fewer agents than a page of any real platform, all of one time, and nothing after them.
func indistinguishable(s server, got int) bool {
	first, last := s.ms[0], s.ms[len(s.ms)-1]
	unit := int(s.show / time.Millisecond)
	return got == s.size && !looksFull(got) && first/unit == last/unit
}

func TestListThatChangesWhileItIsRead(t *testing.T) {
	s := server{ms: []int{1, 2, 3, 4}, size: 2}
	_, err := listAll(t.Context(), func(ctx context.Context, after string) ([]platform.Remote, error) {
		page, err := s.ask(ctx, after)
		return slices.DeleteFunc(page, func(r platform.Remote) bool { return s.asked == 2 && r.UID == "u1" }), err
	})
	if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("broken")
	_, err = listAll(t.Context(), func(ctx context.Context, after string) ([]platform.Remote, error) {
		if after != "" {
			return nil, broken
		}
		return s.ask(ctx, after)
	})
	if !errors.Is(err, broken) {
		t.Errorf("an error of a later page: %v", err)
	}
}

// A list is read to so many pages, the last of which brings nothing new, and to so many agents.
func TestLimitsOfAList(t *testing.T) {
	for over := -1; over <= 1; over++ {
		// A page of three goes on with two: 4 pages for 9 agents, and one that says that no more follow.
		s := server{ms: every(9, 2), size: 3}
		if got, err := listWithin(t.Context(), s.ask, 5-over, 100); (err == nil) != (over <= 0) || err == nil &&
			len(got) != 9 ||
			err != nil && err.Error() != "the list has more than 4 pages" {
			t.Errorf("%d pages of 5: %d agents, %v", 5-over, len(got), err)
		}
		if got, err := listWithin(t.Context(), s.ask, 100, 9-over); (err == nil) != (over <= 0) || err == nil &&
			len(got) != 9 ||
			err != nil && err.Error() != "the list holds more than 8 agents" {
			t.Errorf("%d agents of 9: %d agents, %v", 9-over, len(got), err)
		}
	}
}
