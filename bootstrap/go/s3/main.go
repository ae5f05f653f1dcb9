// Command s3 is the object storage that backups are tested with: the VersityGW gateway before a
// folder, which checks signatures and takes uploads in parts as S3 does. Its own command has more
// storages and services, and takes longer to compile.
package main

import (
	"context"
	"log"
	"os"
	"strings"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: s3 ADDRESS FOLDER, in which access-key, secret-key, tls.crt and tls.key are files and buckets a folder")
	}
	address, folder := os.Args[1], os.Args[2]
	options := posix.PosixOpts{Concurrency: 64, NewDirPerm: 0o700}
	buckets, err := posix.New(folder+"/buckets", meta.XattrMeta{}, options)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(embedgw.RunVersityGW(context.Background(), buckets, &embedgw.Config{
		RootUserAccess:    read(folder + "/access-key"),
		RootUserSecret:    read(folder + "/secret-key"),
		Region:            "us-east-1",
		Ports:             []string{address},
		CertFile:          folder + "/tls.crt",
		KeyFile:           folder + "/tls.key",
		MaxConnections:    1000,
		MaxRequests:       1000,
		MultipartMaxParts: 10000,
	}))
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
