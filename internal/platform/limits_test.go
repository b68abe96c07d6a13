package platform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/platform"
)

// Each limit is held one below, at, and one above.

func TestLimitOfAUID(t *testing.T) {
	for n, usable := range map[int]bool{0: false, 1: true, 127: true, 128: true, 129: false} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if platform.UsableUID(strings.Repeat("u", n)) != usable {
				t.Errorf("%d bytes: usable is not %v", n, usable)
			}
		})
	}
	for uid, usable := range map[string]bool{
		"a": true, "z": true, "A": true, "Z": true, "0": true, "9": true, "_": true, "a.b_c:d@e~f-g": true,
		"-a": true, "-": true, "a+b==": true,
		".a": false, ":a": false, "@a": false, "~a": false, "=a": false, "+a": false, "a/b": false, "a b": false,
		"a`b": false,
		"a{b": false, "a[b": false,
		"a;b": false, "aé": false, "..": false, "a%2e": false,
	} {
		t.Run(uid, func(t *testing.T) {
			if platform.UsableUID(uid) != usable {
				t.Errorf("usable is not %v", usable)
			}
		})
	}
}

// An answer may hold two million values: what parts them is counted, and the list itself.
func TestLimitOfValues(t *testing.T) {
	for n, holds := range map[int]bool{1_999_999: true, 2_000_000: true, 2_000_001: false} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if _, err := platform.Decode([]byte("[" + strings.Repeat("1,", n-1) + "1]")); (err == nil) != holds {
				t.Errorf("%d values: %v", n, err)
			}
		})
	}
}

func TestLimitOfAgentsInAList(t *testing.T) {
	for n, holds := range map[int]bool{499_999: true, 500_000: true, 500_001: false} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if _, err := elements(shape(t), "["+strings.Repeat("1,", n-1)+"1]"); (err == nil) != holds {
				t.Errorf("%d agents: %v", n, err)
			}
		})
	}
}

// What is shown of an error is cut behind 80 characters of its code and 500 of its message.
func TestLimitOfAnErrorsWords(t *testing.T) {
	for over := -1; over <= 1; over++ {
		code, message := strings.Repeat("C", 80+over), strings.Repeat("é", 500+over)
		c := answering(t, 400, nil, fmt.Sprintf(`{"error": {"code": %q, "message": %q}}`, code, message))
		err := c.Do(t.Context(), platform.Request{Method: "GET", Path: []string{"x"}}, nil)
		e, ok := errors.AsType[*platform.Error](err)
		if !ok || (e.Code == code) != (over <= 0) || (e.Message == message) != (over <= 0) {
			t.Errorf("%d: %v", over, err)
		}
		if n := len([]rune(e.Message)); n > 501 || len([]rune(e.Code)) > 81 {
			t.Errorf("%d characters are shown", n)
		}
	}
}

// An answer is read to its limit, and a longer one is no answer.
func TestLimitOfABody(t *testing.T) {
	for over := -1; over <= 1; over++ {
		body := `{"uid": "` + strings.Repeat("u", 100+over-len(`{"uid": ""}`)) + `"}`
		err := answering(t, 200, nil, body).Do(t.Context(), platform.Request{Method: "GET", Path: []string{"x"},
			Limit: 100},
			nil)
		if (err == nil) != (over <= 0) || err != nil && platform.ClassOf(err) != platform.Unknown {
			t.Errorf("%d bytes: %v", len(body), err)
		}
	}
}

// A 409 is a conflict where the platform says so itself: a gateway answers it as well.
func TestAConflictIsThePlatformsOwnWord(t *testing.T) {
	for _, status := range []int{408, 409, 410} {
		for _, own := range []bool{true, false} {
			err := error(&platform.Error{Status: status, OwnWords: own})
			if errors.Is(err, platform.ErrConflict) != (own && status == 409) {
				t.Errorf("status %d, own words %v", status, own)
			}
		}
	}
}

// Of JSON that names no error 200 bytes are shown.
func TestLimitOfWhatIsShown(t *testing.T) {
	for over := -1; over <= 1; over++ {
		body := `{"a": "` + strings.Repeat("x", 200+over-len(`{"a": ""}`)) + `"}`
		err := answering(t, 500, nil, body).Do(t.Context(), changes[0], nil)
		if shown := strings.HasSuffix(err.Error(), ": "+body); shown != (over <= 0) {
			t.Errorf("%d bytes: %v", len(body), err)
		}
	}
}

// An envelope is looked for in bodies of 64 KiB at the most: a longer one is a list or an agent.
func TestLimitOfAnEnvelope(t *testing.T) {
	for over := -1; over <= 1; over++ {
		body := `{"error": "` + strings.Repeat("x", 64<<10+over-len(`{"error": ""}`)) + `"}`
		if err := answer(body).NotDone(); (err != nil) != (over <= 0) {
			t.Errorf("%d bytes: %v", len(body), err)
		}
	}
}

// Numbers below 100,000,000,000 are seconds, from there on milliseconds; above 10^15 they are no times.
func TestLimitsOfTimes(t *testing.T) {
	for number, want := range map[string]int64{
		"99999999999": 99999999999000, "100000000000": 100000000000, "100000000001": 100000000001,
		"999999999999999": 999999999999999, "1000000000000000": 1000000000000000, "1000000000000001": 0, "0": 0,
		"-1": 0,
	} {
		t.Run(number, func(t *testing.T) {
			at := platform.ParseTime(json.Number(number))
			if at.IsZero() != (want == 0) || want != 0 && at.UnixMilli() != want {
				t.Errorf("%s is %v", number, at)
			}
		})
	}
}
