// Command report makes one HTML page of benchmark results, or compares the ratios of a run
// with a baseline.
//
//	go run ./bench/report results.txt > report.html
//	go run ./bench/report -before old.txt new.txt > report.html
//	go run ./bench/report -guard bench/baseline.txt results.txt
//	go run ./bench/report -baseline results.txt > bench/baseline.txt
//
// Several files are one run, such as one file for each device; "-" is the standard input.
// The page needs nothing beside itself: the plots are inline SVG.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// errWorse reports a ratio that is worse than the baseline allows.
var errWorse = errors.New("report: a ratio is worse than the baseline allows")

func main() {
	before := flag.String("before", "", "compare the run with the one in this `file`")
	guard := flag.String("guard", "", "compare the ratios of the run with those in this `file`, and fail if one is worse")
	baseline := flag.Bool("baseline", false, "print the medians of the run's ratios, as a file for -guard")
	tolerance := flag.Float64("tolerance", 0.5, "with -guard: the `part` by which a ratio may be above its baseline")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	run, err := readAll(flag.Args())
	switch {
	case err != nil:
	case *baseline:
		err = writeBaseline(os.Stdout, run)
	case *guard != "":
		err = compareRatios(os.Stdout, *guard, run, *tolerance)
	default:
		err = writePage(os.Stdout, *before, run)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// readAll reads several files as one run.
func readAll(paths []string) (*run, error) {
	r := newRun()
	for _, path := range paths {
		if err := r.readFile(path); err != nil {
			return nil, err
		}
	}
	if len(r.lines) == 0 {
		return nil, errors.New("report: the files have no benchmark results")
	}
	return r, nil
}

func (r *run) readFile(path string) error {
	if path == "-" {
		return r.read(os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer f.Close()
	return r.read(f)
}

// writeBaseline writes the ratios of the benchmark Layers, and where they were measured.
func writeBaseline(w io.Writer, r *run) error {
	for _, s := range fingerprint(r.config) {
		fmt.Fprintf(w, "%s: %s\n", s.Key, s.Value)
	}
	for _, l := range r.lines {
		var ratios strings.Builder
		for _, unit := range l.units {
			if v, ok := l.value(unit); ok && l.guards(unit) {
				fmt.Fprintf(&ratios, "\t%.3g %s", v, unit)
			}
		}
		if l.keys["op"] != "" && l.keys["op"] != "Same" && ratios.Len() > 0 {
			fmt.Fprintf(w, "Benchmark%s\t%d%s\n", l.Name, len(l.values[l.units[0]]), ratios.String())
		}
	}
	return nil
}

// guards reports whether a unit is a ratio that the code can make worse: of processor times
// where they are known, because other load on the machine changes those less, and otherwise
// of times. x-durable, the cost of a durable record over that of an operation without one,
// is a property of the disk.
func (l *line) guards(unit string) bool {
	_, twice := l.values[unit+"-cpu"]
	return strings.HasPrefix(unit, "x-") && !strings.HasPrefix(unit, "x-durable") && !twice
}

func compareRatios(w io.Writer, baseline string, after *run, tolerance float64) error {
	before := newRun()
	if err := before.readFile(baseline); err != nil {
		return err
	}
	rows, worse := guardRows(before, after, tolerance)
	if len(rows) == 0 {
		return errors.New("report: the run has no ratio of the baseline: run the benchmark Layers")
	}
	for _, row := range rows {
		fmt.Fprintln(w, row)
	}
	if worse > 0 {
		return fmt.Errorf("%w: %d of %d, by more than %.0f %%", errWorse, worse, len(rows), tolerance*100)
	}
	return nil
}

func writePage(w io.Writer, before string, after *run) error {
	var old *run
	if before != "" {
		old = newRun()
		if err := old.readFile(before); err != nil {
			return err
		}
	}
	return renderPage(w, newPage(after, old))
}
