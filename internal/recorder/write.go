// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

const (
	// requestTimeout bounds one request.
	requestTimeout = 5 * time.Second
	// maxTries bounds those for one Event, of an API server that does not answer: five
	// minutes. By then there are newer ones to be told.
	maxTries = 12
	// The pauses between them.
	minPause = 250 * time.Millisecond
	maxPause = 30 * time.Second
	// tellInterval is how often it is logged that Events are left out.
	tellInterval = time.Minute
)

// write writes an Event, or puts it off. Its context ends when Run has to; that of Run ends
// a pause.
func (r *Recorder) write(run, bounded context.Context, e *entry, t *teller) {
	event := r.snapshot(e)
	count := int32(1)
	if event.Series != nil {
		count = event.Series.Count
	}
	err := r.send(bounded, event, e.told > 0)
	switch {
	case err == nil:
		r.done(e, count)
	case refused(err) || e.tries+1 >= maxTries:
		t.reason = err
		r.giveUp(e)
	default:
		t.reason = err
		e.tries++
		sleep(bounded.Done(), nil, pauseAfter(run, e.tries))
	}
}

// pauseAfter doubles with each try. At the end there is no time for long ones.
func pauseAfter(run context.Context, tries int) time.Duration {
	if run.Err() != nil {
		return minPause
	}
	return min(minPause<<(tries-1), maxPause)
}

// send creates an Event, or changes the count of one that is there.
func (r *Recorder) send(ctx context.Context, event *eventsv1.Event, there bool) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	client := r.client.Events(event.Namespace)
	if there {
		patch, err := json.Marshal(map[string]any{"series": event.Series})
		if err != nil {
			return fmt.Errorf("encoding an Event: %w", err)
		}
		_, err = client.Patch(ctx, event.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if !apierrors.IsNotFound(err) { // its time is over: an Event lives for an hour
			return err
		}
	}
	_, err := client.Create(ctx, event, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // an earlier try that got no answer
	}
	return err
}

// refused tells an answer that would be the same the next time.
func refused(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code < 500 && !apierrors.IsTooManyRequests(err)
}

// teller logs that Events are left out, now and then.
type teller struct {
	recorder *Recorder
	last     time.Time
	reason   error // of the last that could not be written
}

func (t *teller) tell(ctx context.Context, ending bool) {
	if !ending && time.Since(t.last) < tellInterval {
		return
	}
	if n := t.recorder.takeOmitted(ending); n > 0 {
		t.last = time.Now()
		klog.FromContext(ctx).Info("Events of Leases were left out: the log has what they would have told", "number", n, "reason", t.reason)
		t.reason = nil
	}
}
