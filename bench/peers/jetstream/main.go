// JetStream beside Tandem: `serve FOLDER` runs a server that syncs each write, `publish URL FILE
// RUN WAY` sends the records of a file, a stream for each of four carriers.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	carriers        = 4
	batchRecords    = 1000
	batchesInFlight = 4
	pendingRecords  = 4 * batchRecords
	limit           = 120 * time.Second
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 5 && args[0] == "publish":
		return publish(args[1], args[2], args[3], args[4])
	}
	return errors.New("expected: serve FOLDER, or publish URL FILE RUN atomic|deduplicated")
}

func serve(folder string) error {
	options := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: folder, SyncAlways: true, NoSigs: true}
	ns, err := server.NewServer(options)
	if err != nil {
		return err
	}
	ns.Start()
	if !ns.ReadyForConnections(limit) {
		return errors.New("the server did not start")
	}
	fmt.Println(ns.ClientURL())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	ns.Shutdown()
	ns.WaitForShutdown()
	return nil
}

func publish(url, file, name, way string) error {
	records, err := readRecords(file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	share := len(records) / carriers
	publishers := make([]*publisher, carriers)
	for i := range publishers {
		publishers[i], err = newPublisher(ctx, url, fmt.Sprintf("%s-%d", name, i), records[i*share:(i+1)*share])
		if err != nil {
			return err
		}
		defer publishers[i].conn.Close()
	}
	if err := waitForGo(); err != nil {
		return err
	}
	started := time.Now()
	failures := make(chan error, carriers)
	for _, each := range publishers {
		go func() { failures <- each.send(ctx, way) }()
	}
	for range publishers {
		if err := <-failures; err != nil {
			return err
		}
	}
	seconds := time.Since(started).Seconds()
	stored := uint64(0)
	for _, each := range publishers {
		info, err := each.stream.Info(ctx)
		if err != nil {
			return err
		}
		stored += info.State.Msgs
		if err := each.js.DeleteStream(ctx, each.name); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": seconds, "stored": stored})
}

func waitForGo() error {
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// Each record has its length before it, four bytes, the highest first.
func readRecords(file string) ([][]byte, error) {
	all, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var records [][]byte
	for len(all) > 0 {
		if len(all) < 4 || uint32(len(all)-4) < binary.BigEndian.Uint32(all) {
			return nil, io.ErrUnexpectedEOF
		}
		end := 4 + binary.BigEndian.Uint32(all)
		records = append(records, all[4:end])
		all = all[end:]
	}
	return records, nil
}

type publisher struct {
	name    string
	conn    *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	records [][]byte
}

func newPublisher(ctx context.Context, url, name string, records [][]byte) (*publisher, error) {
	conn, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(pendingRecords))
	if err != nil {
		return nil, err
	}
	config := jetstream.StreamConfig{Name: name, Subjects: []string{name}, Storage: jetstream.FileStorage, AllowAtomicPublish: true}
	stream, err := js.CreateStream(ctx, config)
	return &publisher{name, conn, js, stream, records}, err
}

func (p *publisher) send(ctx context.Context, way string) error {
	if way == "atomic" {
		return p.sendBatches(ctx)
	}
	return p.sendDeduplicated(ctx)
}

// Each worker has one batch on its way. A batch is stored as a whole or not at all.
func (p *publisher) sendBatches(ctx context.Context) error {
	var next sync.Mutex
	at := 0
	take := func() (int, [][]byte) {
		next.Lock()
		defer next.Unlock()
		from := at
		at = min(at+batchRecords, len(p.records))
		return from, p.records[from:at]
	}
	failures := make(chan error, batchesInFlight)
	for range batchesInFlight {
		go func() {
			for {
				first, batch := take()
				if len(batch) == 0 {
					failures <- nil
					return
				}
				if err := p.sendBatch(ctx, first, batch); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	for range batchesInFlight {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

func (p *publisher) sendBatch(ctx context.Context, first int, batch [][]byte) error {
	id := fmt.Sprintf("%s-%d", p.name, first)
	for at, record := range batch {
		message := &nats.Msg{Subject: p.name, Data: record, Header: nats.Header{"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {strconv.Itoa(at + 1)}}}
		if at < len(batch)-1 {
			if err := p.conn.PublishMsg(message); err != nil {
				return err
			}
			continue
		}
		message.Header.Set("Nats-Batch-Commit", "1")
		answer, err := p.conn.RequestMsgWithContext(ctx, message)
		if err != nil {
			return err
		}
		var ack struct {
			Error *jetstream.APIError `json:"error"`
			Count int                 `json:"count"`
		}
		if err := json.Unmarshal(answer.Data, &ack); err != nil {
			return err
		}
		if ack.Error != nil || ack.Count != len(batch) {
			return fmt.Errorf("a batch was not stored: %s", answer.Data)
		}
	}
	return nil
}

func (p *publisher) sendDeduplicated(ctx context.Context) error {
	acks := make([]jetstream.PubAckFuture, 0, len(p.records))
	for at, record := range p.records {
		ack, err := p.js.PublishMsgAsync(&nats.Msg{Subject: p.name, Data: record}, jetstream.WithMsgID(fmt.Sprintf("%s-%d", p.name, at)), jetstream.WithStallWait(limit))
		if err != nil {
			return err
		}
		acks = append(acks, ack)
	}
	select {
	case <-p.js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		}
	}
	return nil
}
