// A consumer that stops to read: it takes the first message of a feed, reads on only when it is
// told, and prints what it got as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	carrierv1 "tandem/gen/go/tandem/carrier/v1"
	typev1 "tandem/gen/go/tandem/type/v1"
)

const windowBytes = 65_536

type end struct {
	Code    string `json:"code"`
	Closing string `json:"closing"`
	Reason  string `json:"reason"`
	Retry   bool   `json:"retry"`
	Through int64  `json:"through"`
}

func main() {
	target, token := os.Args[1], os.Args[2]
	connection, err := grpc.NewClient(
		target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A window that does not grow, so that few records fill it.
		grpc.WithInitialWindowSize(windowBytes),
	)
	check(err)
	defer connection.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
	start := &typev1.FeedStart{Position: &typev1.FeedStart_Earliest{Earliest: &typev1.FeedStartEarliest{}}}
	stream, err := carrierv1.NewCdrServiceClient(connection).StreamCdrs(ctx, &carrierv1.StreamCdrsRequest{Start: start})
	check(err)
	_, err = stream.Recv()
	check(err)
	fmt.Println("opened")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	check(json.NewEncoder(os.Stdout).Encode(readToEnd(stream)))
}

func readToEnd(stream grpc.ServerStreamingClient[carrierv1.StreamCdrsResponse]) end {
	var result end
	for {
		message, err := stream.Recv()
		if err != nil {
			return withError(result, err)
		}
		result.Through = message.ThroughSequence
		if closing := message.GetClosing(); closing != nil {
			result.Closing = closing.Reason.String()
		}
	}
}

func withError(result end, err error) end {
	if errors.Is(err, io.EOF) {
		result.Code = "OK"
		return result
	}
	said := status.Convert(err)
	result.Code = said.Code().String()
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			result.Reason = detail.Domain + "/" + detail.Reason
		case *errdetails.RetryInfo:
			result.Retry = true
		}
	}
	return result
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
