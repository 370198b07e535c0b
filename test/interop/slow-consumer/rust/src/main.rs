//! A consumer that stops to read: it takes the first message of a feed, reads on only when it is
//! told, and prints what it got as JSON.
use contract::tandem::carrier::v1::cdr_service_client::CdrServiceClient;
use contract::tandem::carrier::v1::{stream_cdrs_response::Frame, StreamCdrsRequest, StreamCdrsResponse};
use contract::tandem::r#type::v1::{feed_start::Position, FeedStart, FeedStartEarliest};
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::transport::Channel;
use tonic_types::StatusExt;

const WINDOW_BYTES: u32 = 65_536;

#[allow(clippy::all)]
mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (target, token) = (arguments.next().ok_or("no target")?, arguments.next().ok_or("no token")?);
    // A small window, so that few records fill it.
    let endpoint = Channel::from_shared(format!("http://{target}"))?.initial_stream_window_size(WINDOW_BYTES);
    let mut client = CdrServiceClient::new(endpoint.connect().await?);
    let position = Some(Position::Earliest(FeedStartEarliest {}));
    let mut request = tonic::Request::new(StreamCdrsRequest { start: Some(FeedStart { position }), ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let mut stream = client.stream_cdrs(request).await?.into_inner();
    stream.message().await?;
    println!("opened");
    BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await?;
    read_to_end(&mut stream).await;
    Ok(())
}

async fn read_to_end(stream: &mut tonic::Streaming<StreamCdrsResponse>) {
    let (mut closing, mut through) = (String::new(), 0);
    let status = loop {
        match stream.message().await {
            Ok(Some(message)) => {
                through = message.through_sequence;
                if let Some(Frame::Closing(frame)) = message.frame {
                    closing = frame.reason().as_str_name().to_owned();
                }
            }
            Ok(None) => break tonic::Status::ok(""),
            Err(status) => break status,
        }
    };
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| format!("{}/{}", info.domain, info.reason)).unwrap_or_default();
    let (code, retry) = (status.code(), details.retry_info().is_some());
    println!(r#"{{"code":"{code:?}","closing":"{closing}","reason":"{reason}","retry":{retry},"through":{through}}}"#);
}
