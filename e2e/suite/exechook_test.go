// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

// execHookEnv makes this test binary a hook program that has the server at this URL answer for it.
const execHookEnv = "SHARDCTL_SUITE_HOOK_URL"

// runExecHook is the whole hook program: it hands standard input to the server and the answer to standard output. An answer
// other than 200 goes to standard error, and the program fails.
func runExecHook(url string) int {
	response, err := http.Post(url, "application/json", os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer response.Body.Close()
	out, code := os.Stdout, 0
	if response.StatusCode != http.StatusOK {
		out, code = os.Stderr, 1
	}
	if _, err := io.Copy(out, response.Body); err != nil {
		return 1 // the reader has enough
	}
	return code
}
