package sealing

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom.example/vault/stream"
)

// ErrSpecialFile reports a socket, pipe or device in a directory, which cannot be sealed.
var ErrSpecialFile = errors.New("neither a file, a directory nor a symbolic link: remove it from the directory")

// Size returns the number of bytes of the files in a directory, or of a file.
func Size(path string) (total int64, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// archive returns a directory as a tar archive, which a goroutine makes while it is read.
// wrap wraps the reading of each file. Closing the archive ends the goroutine.
func archive(dir string, wrap func(io.Reader) io.Reader) (io.ReadCloser, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	go func() {
		defer root.Close()
		a := archiver{root: root, tar: tar.NewWriter(in), wrap: wrap}
		err := fs.WalkDir(root.FS(), ".", a.add)
		if err == nil {
			err = a.tar.Close()
		}
		in.CloseWithError(err)
	}()
	return out, nil
}

// An archiver writes the entries of a directory to an archive.
type archiver struct {
	root *os.Root
	tar  *tar.Writer
	wrap func(io.Reader) io.Reader
}

// add writes one entry. Its owner is left out, because the names of another machine's users
// mean nothing.
func (a archiver) add(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	target := ""
	switch mode := info.Mode(); {
	case mode.IsRegular(), mode.IsDir():
	case mode&fs.ModeSymlink != 0:
		if target, err = a.root.Readlink(path); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: %w", path, ErrSpecialFile)
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.Format = path, tar.FormatPAX
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}
	if err := a.tar.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	return a.addContents(path, header.Size)
}

// addContents writes the size bytes that a file had when its header was written.
func (a archiver) addContents(path string, size int64) error {
	f, err := a.root.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := copyWiped(a.tar, io.LimitReader(a.wrap(f), size))
	if err == nil && n < size {
		err = fmt.Errorf("%s became shorter while it was read", path)
	}
	return err
}

// extract makes the directory at path from an archive.
func (w Worker) extract(path string, in *stream.Reader) error {
	o, err := newOutput(path, false)
	if err != nil {
		return err
	}
	defer o.discard()
	root, err := o.createDirectory()
	if err != nil {
		return err
	}
	defer root.Close()
	x := extractor{root: root}
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = x.add(header, archive)
		}
		if err != nil {
			return err
		}
	}
	// The end of the archive is not the end of the stream, which alone shows that it is
	// complete.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	if err := x.finish(); err != nil {
		return err
	}
	return o.rename()
}

// An extractor makes the entries of an archive in a directory, which os.Root keeps them in.
type extractor struct {
	root        *os.Root
	directories []*tar.Header
}

func (x *extractor) add(h *tar.Header, contents io.Reader) error {
	name := filepath.FromSlash(strings.TrimSuffix(h.Name, "/"))
	switch h.Typeflag {
	case tar.TypeDir:
		x.directories = append(x.directories, h)
		if name == "." {
			return nil
		}
		return x.root.Mkdir(name, 0o700)
	case tar.TypeSymlink:
		return x.root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		return x.addFile(name, h, contents)
	}
	return fmt.Errorf("%s: %w", name, ErrSpecialFile)
}

func (x *extractor) addFile(name string, h *tar.Header, contents io.Reader) error {
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = copyWiped(f, contents)
	return errors.Join(err, f.Chmod(h.FileInfo().Mode().Perm()), f.Close(), x.root.Chtimes(name, h.ModTime, h.ModTime))
}

// finish sets the modes and times of the directories, the innermost first, after everything
// in them is made.
func (x *extractor) finish() error {
	for i := len(x.directories) - 1; i >= 0; i-- {
		h := x.directories[i]
		name := filepath.FromSlash(strings.TrimSuffix(h.Name, "/"))
		err := errors.Join(x.root.Chmod(name, h.FileInfo().Mode().Perm()), x.root.Chtimes(name, h.ModTime, h.ModTime))
		if err != nil {
			return err
		}
	}
	return nil
}
