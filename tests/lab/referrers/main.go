// Command referrers is a registry with the referrers API of the OCI distribution spec 1.1, which Debian's lacks.
// The list of referrers comes in pages of -page entries, as large registries send it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	address := flag.String("addr", "127.0.0.1:0", "host:port to listen on")
	blobs := flag.String("blobs", "", "folder for blobs")
	page := flag.Int("page", 100, "referrers in one page")
	flag.Parse()
	handler := registry.New(
		registry.WithReferrersSupport(true),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(*blobs)),
		registry.Logger(log.New(io.Discard, "", 0)),
	)
	log.Fatal(http.ListenAndServe(*address, paged(handler, *page)))
}

func paged(next http.Handler, size int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			next.ServeHTTP(w, r)
			return
		}
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		var index map[string]any
		if whole.Code != http.StatusOK || json.Unmarshal(whole.Body.Bytes(), &index) != nil {
			w.WriteHeader(whole.Code)
			w.Write(whole.Body.Bytes())
			return
		}
		// The registry lists a map in any order; pages need the same one each time.
		entries, _ := index["manifests"].([]any)
		slices.SortFunc(entries, func(a, b any) int { return strings.Compare(digest(a), digest(b)) })
		first, _ := strconv.Atoi(r.URL.Query().Get("first"))
		first = min(max(first, 0), len(entries))
		last := min(first+size, len(entries))
		if last < len(entries) {
			w.Header().Set("Link", fmt.Sprintf("<%s?first=%d>; rel=\"next\"", r.URL.Path, last))
		}
		index["manifests"] = entries[first:last]
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		json.NewEncoder(w).Encode(index)
	})
}

func digest(entry any) string {
	fields, _ := entry.(map[string]any)
	text, _ := fields["digest"].(string)
	return text
}
