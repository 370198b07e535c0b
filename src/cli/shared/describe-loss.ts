/** What an operator is to do after a failover or a restore that has lost something. */
export function describeLoss(sinceMs: number): string {
  const since = new Date(sinceMs).toISOString();
  return (
    "a failover or a restore lost the newest records: send everything again that was acknowledged since " +
    `${since} (what is still there comes out as a duplicate)`
  );
}
