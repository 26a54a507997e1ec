// Command pause is what a pod's sandbox container runs: it holds the pod's namespaces until it is told to stop.
// Called as "volume -p PATH -s BYTES -m MODE -a create|delete" it makes or removes the directory of a local
// volume instead, which is all that the storage class needs of a helper image.
package main

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func pause() {
	signal.Ignore(syscall.SIGCHLD) // the kernel reaps the orphans of a pod that shares its process namespace
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}

func volume() error {
	path := flag.String("p", "", "directory of the volume")
	action := flag.String("a", "", "create or delete")
	_ = flag.String("m", "", "volume mode, ignored")
	_ = flag.Int64("s", 0, "size in bytes, ignored")
	flag.Parse()
	if *action == "delete" {
		return os.RemoveAll(*path)
	}
	if err := os.MkdirAll(*path, 0o777); err != nil {
		return err
	}
	return os.Chmod(*path, 0o777) // whatever the umask says: pods write here under users of their own
}

func main() {
	if filepath.Base(os.Args[0]) != "volume" {
		pause()
		return
	}
	if err := volume(); err != nil {
		log.Fatal(err)
	}
}
