// What pgx does with DATABASE_URL alone, as JSON.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func code(err error) string {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return told.Code
	}
	return fmt.Sprint(err)
}

func main() {
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	outcome := map[string]any{}
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	must(err)

	var number int
	var user string
	must(conn.QueryRow(ctx, "select $1::int + 1, current_user::text", 41).Scan(&number, &user))
	outcome["row"] = []any{number, user}

	batch := &pgx.Batch{}
	for n := range 100 {
		batch.Queue("select $1::int", n)
	}
	results := conn.SendBatch(ctx, batch)
	sum := 0
	for range 100 {
		must(results.QueryRow().Scan(&number))
		sum += number
	}
	must(results.Close())
	outcome["batch"] = sum

	_, err = conn.Exec(ctx, "create temp table t (n int, w text)")
	must(err)
	rows := make([][]any, 50000)
	for n := range rows {
		rows[n] = []any{n, "word"}
	}
	copied, err := conn.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"n", "w"}, pgx.CopyFromRows(rows))
	must(err)
	outcome["copyIn"] = copied
	var out bytes.Buffer
	tag, err := conn.PgConn().CopyTo(ctx, &out, "copy t to stdout")
	must(err)
	outcome["copyOut"] = []any{tag.String(), out.Len()}

	_, err = conn.Exec(ctx, "listen heard")
	must(err)
	_, err = conn.Exec(ctx, "notify heard, 'here'")
	must(err)
	heard, err := conn.WaitForNotification(ctx)
	must(err)
	outcome["notify"] = heard.Payload

	_, err = conn.Exec(ctx, "select oops")
	outcome["error"] = code(err)

	sleeping := make(chan string)
	go func() {
		_, err := conn.Exec(ctx, "select pg_sleep(30)")
		sleeping <- code(err)
	}()
	time.Sleep(300 * time.Millisecond)
	must(conn.PgConn().CancelRequest(ctx))
	outcome["cancel"] = <-sleeping

	elsewhere, err := url.Parse(os.Getenv("DATABASE_URL"))
	must(err)
	elsewhere.Path = "/no_such"
	_, err = pgx.Connect(ctx, elsewhere.String())
	outcome["database"] = code(err)

	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	must(err)
	done := make(chan error)
	for n := range 50 {
		go func() {
			var got int
			err := pool.QueryRow(ctx, "select $1::int", n).Scan(&got)
			if err == nil && got != n {
				err = fmt.Errorf("%d is not %d", got, n)
			}
			done <- err
		}()
	}
	for range 50 {
		must(<-done)
	}
	pool.Close()
	must(conn.Close(ctx))
	must(json.NewEncoder(os.Stdout).Encode(outcome))
}
