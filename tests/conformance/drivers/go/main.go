// pgx 5: statements prepared and cached, only described, and simple; batches, COPY, transactions; binary results.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type asked struct {
	Target struct {
		Host, User, Password, Dbname, Sslmode string
		Port                                  int
	}
	Cases []struct {
		Name, SQL string
		Params    []any
	}
}

type rows [][]*string

var ctx = context.Background()

func text(value any) *string {
	if value == nil {
		return nil
	}
	found := fmt.Sprintf("%v", value)
	return &found
}

func collect(result pgx.Rows, err error) (rows, error) {
	if err != nil {
		return nil, err
	}
	defer result.Close()
	found := rows{}
	for result.Next() {
		values, err := result.Values()
		if err != nil {
			return nil, err
		}
		row := []*string{}
		for _, value := range values {
			row = append(row, text(value))
		}
		found = append(found, row)
	}
	if len(result.FieldDescriptions()) == 0 && result.Err() == nil {
		found = append(found, []*string{text(result.CommandTag().String())})
	}
	return found, result.Err()
}

func report(name string, run func() (rows, error)) {
	line := map[string]any{"case": name, "rows": nil, "error": nil}
	found, err := run()
	if err != nil {
		line["error"], line["text"] = "go", err.Error()
		var server *pgconn.PgError
		if errors.As(err, &server) {
			line["error"] = server.Code
		}
	} else {
		line["rows"] = found
	}
	out, _ := json.Marshal(line)
	fmt.Println(string(out))
}

func main() {
	var given asked
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	t := given.Target
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=%s", t.Host, t.Port, t.User, t.Password, t.Dbname, t.Sslmode))
	if err != nil {
		panic(err)
	}
	link := connect(config)
	defer link.Close(ctx)
	places := regexp.MustCompile(`\{(\d+)\}`)
	for _, one := range given.Cases {
		sql := places.ReplaceAllString(one.SQL, "$$$1")
		params := one.Params
		for n, value := range params {
			if number, ok := value.(float64); ok {
				params[n] = int64(number)
			}
		}
		report(one.Name, func() (rows, error) { return collect(link.Query(ctx, sql, params...)) })
	}
	specials(link, config)
}

func connect(config *pgx.ConnConfig) *pgx.Conn {
	link, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		panic(err)
	}
	return link
}

func specials(link *pgx.Conn, config *pgx.ConnConfig) {
	modes := map[string]pgx.QueryExecMode{
		"cached": pgx.QueryExecModeCacheStatement, "described": pgx.QueryExecModeCacheDescribe, "simple": pgx.QueryExecModeSimpleProtocol,
		"executed": pgx.QueryExecModeExec, "described each time": pgx.QueryExecModeDescribeExec,
	}
	for name, mode := range modes {
		other := config.Copy()
		other.DefaultQueryExecMode = mode
		second := connect(other)
		for kind, sql := range map[string]string{"": "SELECT id, name FROM things WHERE id < $1 ORDER BY id", "masked ": "SELECT id, email, city FROM people WHERE id < $1 ORDER BY id"} {
			sql := sql
			report(kind+name, func() (rows, error) { return collect(second.Query(ctx, sql, 9)) })
		}
		second.Close(ctx)
	}
	report("batch", func() (rows, error) { return batch(link, "SELECT id, weight::text FROM things WHERE id = $1") })
	report("masked batch", func() (rows, error) { return batch(link, "SELECT id, email FROM people WHERE id = $1") })
	report("copy in", func() (rows, error) {
		source := [][]any{{int32(1400), "g"}, {int32(1401), nil}}
		count, err := link.CopyFrom(ctx, pgx.Identifier{"scratch"}, []string{"id", "name"}, pgx.CopyFromRows(source))
		if err != nil {
			return nil, err
		}
		gone, err := link.Exec(ctx, "DELETE FROM scratch WHERE id IN (1400, 1401)")
		return rows{{text(count), text(gone.String())}}, err
	})
	report("copy out", func() (rows, error) {
		var out bytes.Buffer
		_, err := link.PgConn().CopyTo(ctx, &out, "COPY things (id, name) TO STDOUT")
		return rows{{text(out.String())}}, err
	})
	report("transaction", func() (rows, error) {
		tx, err := link.Begin(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO scratch VALUES (1410, 'x')"); err != nil {
			return nil, err
		}
		if err := tx.Rollback(ctx); err != nil {
			return nil, err
		}
		return collect(link.Query(ctx, "SELECT count(*) FROM scratch WHERE id = 1410"))
	})
}

func batch(link *pgx.Conn, sql string) (rows, error) {
	queued := &pgx.Batch{}
	for n := 1; n < 30; n++ {
		queued.Queue(sql, n)
	}
	results := link.SendBatch(ctx, queued)
	defer results.Close()
	all := rows{}
	for n := 1; n < 30; n++ {
		found, err := collect(results.Query())
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
