// Package tasks runs a vault's background work, such as the removal of expired material and
// backups, at scheduled times and separately for each driver.
package tasks

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultTimeout is how long the vault waits for one task.
	DefaultTimeout = 30 * time.Second
	// RetryDelay is the delay before a failed task is retried.
	RetryDelay = time.Minute
	// Soon is long enough for the batch that is being staged.
	Soon = 2 * time.Second
	// tasksPerDriver is how many tasks run at the same time with one driver. Tasks that
	// destroy material share one change of epoch.
	tasksPerDriver = 256
	// Own begins the paths of the vault's own tasks, which belong to no driver. They have no
	// time limit, and run beside each other and beside all others.
	Own = "\x00"
)

// Config describes the tasks of a Queue.
type Config struct {
	// Now returns the time by which tasks are due.
	Now func() time.Time
	// Timeout bounds one task, except those that begin with Own.
	Timeout time.Duration
	// DriverOf returns the name of the driver of a path's task, or "" if it is not known.
	DriverOf func(ctx context.Context, path string) string
	// Run runs the task of a path. A task whose time passed more than once, for example
	// while the machine was asleep, runs once.
	Run func(ctx context.Context, path string) error
}

// A Queue is a timer queue of tasks, each identified by the path of the record that it is
// about. It is rebuilt at each open of the vault and not stored.
type Queue struct {
	Config
	mu      sync.Mutex
	at      map[string]time.Time
	next    time.Time       // no task is due before
	busy    map[string]bool // names of GoOnce with work in progress; of tasks, the drivers
	idle    sync.Cond       // busy became empty
	running sync.WaitGroup
}

// New returns an empty Queue.
func New(c Config) *Queue {
	q := &Queue{Config: c, at: map[string]time.Time{}, busy: map[string]bool{}}
	q.idle.L = &q.mu
	return q
}

// Schedule sets the time of a task. The zero time removes the task.
func (q *Queue) Schedule(path string, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at.IsZero() {
		delete(q.at, path)
		return
	}
	if len(q.at) == 0 || at.Before(q.next) {
		q.next = at
	}
	q.at[path] = at
}

// Shift moves the times of all tasks by d.
func (q *Queue) Shift(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for path, at := range q.at {
		q.at[path] = at.Add(d)
	}
	q.next = q.next.Add(d)
}

// Postpone schedules failed tasks for a retry.
func (q *Queue) Postpone(paths ...string) {
	at := q.Now().Add(RetryDelay)
	for _, path := range paths {
		q.Schedule(path, at)
	}
}

// ScheduledAfter returns the number of tasks that are scheduled for a time after t, except
// those that begin with Own.
func (q *Queue) ScheduledAfter(t time.Time) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for path, at := range q.at {
		if at.After(t) && !strings.HasPrefix(path, Own) {
			n++
		}
	}
	return n
}

// Go runs f in a goroutine for which Wait waits.
func (q *Queue) Go(f func()) { q.running.Go(f) }

// Wait waits for the running tasks and the goroutines of Go.
func (q *Queue) Wait() { q.running.Wait() }

// RunDue starts the due tasks and does not wait for them. The tasks of a driver whose
// earlier tasks are still running stay scheduled.
func (q *Queue) RunDue(ctx context.Context) {
	now := q.Now()
	for name, paths := range q.byDriver(ctx, q.takeDue(now)) {
		if !q.GoOnce(name, func() { q.runGroup(ctx, paths) }) {
			for _, path := range paths {
				q.Schedule(path, q.Now()) // now may be from before Shift
			}
		}
	}
}

// RunAllDue runs the tasks that are due, and those that become due by that, and waits for them.
func (q *Queue) RunAllDue(ctx context.Context) {
	for ctx.Err() == nil {
		q.RunDue(ctx)
		if q.waitIdle(); !q.anyDue() {
			return
		}
	}
}

func (q *Queue) waitIdle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.busy) > 0 {
		q.idle.Wait()
	}
}

func (q *Queue) anyDue() bool {
	now := q.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.at) > 0 && !now.Before(q.next)
}

// GoOnce runs f in a goroutine for which Wait waits. It returns false, and does not run f,
// if an earlier call with the same name is still running.
func (q *Queue) GoOnce(name string, f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy[name] {
		return false
	}
	q.busy[name] = true
	q.running.Go(func() {
		defer q.release(name)
		f()
	})
	return true
}

func (q *Queue) release(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.busy, name)
	if len(q.busy) == 0 {
		q.idle.Broadcast()
	}
}

// takeDue removes and returns the paths whose time has come.
func (q *Queue) takeDue(now time.Time) (paths []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Before(q.next) {
		return nil
	}
	var next time.Time
	for path, at := range q.at {
		if !now.Before(at) {
			paths = append(paths, path)
			delete(q.at, path)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	q.next = next
	return paths
}

// byDriver groups the paths of due tasks by driver, so that a driver that hangs delays only
// its own tasks.
func (q *Queue) byDriver(ctx context.Context, paths []string) map[string][]string {
	groups := map[string][]string{}
	for _, path := range paths {
		name := path
		if !strings.HasPrefix(path, Own) {
			name = q.DriverOf(ctx, path)
		}
		groups[name] = append(groups[name], path)
	}
	return groups
}

// RunAll runs tasks now and waits for them.
func (q *Queue) RunAll(ctx context.Context, paths []string) {
	var wg sync.WaitGroup
	for _, paths := range q.byDriver(ctx, paths) {
		wg.Go(func() { q.runGroup(ctx, paths) })
	}
	wg.Wait()
}

// runGroup runs tasks of one driver: the first alone, and if it succeeds, the others
// concurrently. Failed tasks are retried later, and so are the remaining tasks if the driver
// hangs.
func (q *Queue) runGroup(ctx context.Context, paths []string) {
	if q.runOnce(ctx, paths[0]) != nil {
		q.Postpone(paths[1:]...)
		return
	}
	var hangs atomic.Bool
	var wg sync.WaitGroup
	slots := make(chan struct{}, tasksPerDriver)
	for _, path := range paths[1:] {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if hangs.Load() {
				q.Postpone(path)
			} else if q.runOnce(ctx, path) == context.DeadlineExceeded {
				hangs.Store(true)
			}
		})
	}
	wg.Wait()
}

// runOnce runs one task with a time limit, and postpones it if it fails. It returns the
// error of the context if the context ended.
func (q *Queue) runOnce(ctx context.Context, path string) error {
	if !strings.HasPrefix(path, Own) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.Timeout)
		defer cancel()
	}
	err := q.Run(ctx, path)
	if err == nil {
		return nil
	}
	q.Postpone(path)
	return cmp.Or(ctx.Err(), err)
}
