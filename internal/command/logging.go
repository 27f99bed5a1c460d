// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"k8s.io/klog/v2"
)

// The formats of the log.
const (
	logText = "text"
	logJSON = "json"
)

// setLogging says how and how much is logged by the whole process: by this program and by
// client-go with klog, and by the standard library with its packages log and log/slog.
func setLogging(to io.Writer, format string, verbosity int) error {
	if err := setVerbosity(verbosity); err != nil {
		return err
	}
	switch format {
	case logText:
	case logJSON:
		logger := slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: slog.Level(-verbosity), ReplaceAttr: plainly}))
		klog.SetSlogLogger(logger)
		slog.SetDefault(logger)
	default:
		return fmt.Errorf("--log-format: %q is not known: use %s or %s", format, logText, logJSON)
	}
	return nil
}

// setVerbosity sets how much is logged; klog knows no other way than flags.
func setVerbosity(v int) error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	if err := flags.Set("v", strconv.Itoa(v)); err != nil || v < 0 {
		return fmt.Errorf("--v: %d is not allowed: use 0 or more", v)
	}
	return nil
}

// plainly writes values as klog's own format does, and not as log/slog would: a duration
// with its unit, and a line of a higher verbosity as one for information, with that
// verbosity, as other components of Kubernetes have it.
func plainly(groups []string, a slog.Attr) slog.Attr {
	switch v := a.Value; {
	case v.Kind() == slog.KindDuration:
		return slog.String(a.Key, v.Duration().String())
	case a.Key == slog.LevelKey && len(groups) == 0:
		if level, ok := v.Any().(slog.Level); ok && level < slog.LevelInfo {
			return slog.Attr{Value: slog.GroupValue(slog.String(slog.LevelKey, slog.LevelInfo.String()), slog.Int("v", -int(level)))}
		}
	}
	return a
}
