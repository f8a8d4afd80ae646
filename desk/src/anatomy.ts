/** Names, in the server's one order. */

export const VERTEBRAE = ["L1", "L2", "L3", "L4", "L5", "S1"] as const;
export const SITES = ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"] as const;
const ENDS = ["superior_anterior", "superior_posterior", "inferior_anterior", "inferior_posterior"] as const;

export function cornersOf(vertebra: string): string[] {
  return (vertebra === "S1" ? ENDS.slice(0, 2) : ENDS).map((end) => `${vertebra}_${end}`);
}

export const CORNERS: string[] = VERTEBRAE.flatMap(cornersOf);

export const vertebraOf = (corner: string) => corner.slice(0, 2);
export const inWords = (corner: string) => corner.replaceAll("_", " ");

/** The level that a corner takes part in: an inferior one in that below its vertebra, a superior one in that above. */
export function siteOf(corner: string): string {
  const index = VERTEBRAE.indexOf(vertebraOf(corner) as (typeof VERTEBRAE)[number]);
  const level = corner.includes("inferior") ? index : index - 1;
  return SITES[Math.max(0, Math.min(SITES.length - 1, level))]!;
}

/** The four corners around the disc of a level. */
export function discCorners(site: string): string[] {
  const [upper, lower] = site.split("/");
  return [`${upper}_inferior_anterior`, `${upper}_inferior_posterior`, `${lower}_superior_anterior`, `${lower}_superior_posterior`];
}
