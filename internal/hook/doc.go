// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hook calls the hooks of metacontroller's contracts: a webhook, or a program. Both get a request
// as JSON and give an answer as JSON; what is in the two is the caller's affair.
//
// A call is all or nothing: Call fills in the answer and returns nil, or returns an error and the answer
// must not be used. What counts as an answer:
//
//   - of a webhook, the body of a response with status 200. Status 429 is an error that knows how long the
//     hook wants to be left alone. Redirects that keep the POST (307, 308) are followed.
//   - of a program, its standard output if it exits with code 0.
//
// Either must be one JSON object of at most MaxAnswerBytes and MaxAnswerValues that nests no deeper than
// 10,000 levels. It is decoded as Kubernetes decodes JSON: field names are case-sensitive, whole numbers stay int64.
//
// A caller that asks for no answer (a schedule, which only has something done) takes any status 2xx for
// success, and does not look at the body. What a program prints then goes where the output of this process
// goes.
//
// A call tells the hook in which term it is made, if the context says so (WithTerm): shard, epoch and
// fencing token, as headers of a webhook and in the environment of a program. Likewise of which run of a
// schedule it is (WithFiring): time and idempotency key.
//
// Nothing outlives a call. When its context ends, the connection is cut, or the program and every process
// in its process group are killed, at once; processes that a program leaves behind in its group are killed
// when it exits. (One that makes a session of its own escapes that. On systems other than Unix only the
// program itself is killed.) Only idle connections stay, until Close.
//
// Every failure that is the hook's is an *Error: a reason fit for a metric's label, and a message with a
// short excerpt of what the hook said. A call that ends because its context ended returns that context's
// cause instead, for then the hook is not to blame.
//
// The tests call real HTTP servers and real programs (the test binary itself, started again).
package hook
