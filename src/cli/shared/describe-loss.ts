/** What an operator is to do after a failover or a restore that has lost something. */
export function describeLoss(sinceMs: number): string {
  const since = new Date(sinceMs).toISOString();
  return (
    "a failover or a restore has lost the newest records: what got its acknowledgement or its receipt since " +
    `${since} is to be sent again, once (what is there already comes out as a duplicate)`
  );
}
