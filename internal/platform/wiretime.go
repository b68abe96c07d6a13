package platform

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// timeLayouts are the ISO 8601 forms that the platforms' references show, and their cousins without
// a zone (taken as UTC) or with a space.
var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
}

// secondsBelow parts Unix seconds from Unix milliseconds: as seconds it is the year 5138, as
// milliseconds it is March 1973, and neither platform existed then or will answer from there.
const secondsBelow = 1e11

// ParseTime reads a time as a platform answers it: an ISO 8601 string, or Unix milliseconds or
// seconds as a number or as its digits. It returns the zero time for null, zero and anything else.
func ParseTime(v any) time.Time {
	switch v := v.(type) {
	case json.Number:
		return unixTime(v.String())
	case string:
		v = strings.TrimSpace(v)
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC()
			}
		}
		return unixTime(v)
	}
	return time.Time{}
}

func unixTime(text string) time.Time {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || f <= 0 || f > 1e15 {
		return time.Time{}
	}
	if f < secondsBelow {
		f *= 1000
	}
	return time.UnixMilli(int64(f)).UTC()
}
