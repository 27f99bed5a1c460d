// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"flag"
	"fmt"
	"strconv"

	"k8s.io/klog/v2"
)

// setVerbosity sets how much is logged; klog knows no other way than flags.
func setVerbosity(v int) error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	if err := flags.Set("v", strconv.Itoa(v)); err != nil {
		return fmt.Errorf("--v: %d is not allowed: use 0 or more: %w", v, err)
	}
	return nil
}
