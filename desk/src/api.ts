/** The server's API (its OpenAPI document stands at /api/openapi.json). Figures come as words: rounding is the server's. */

export type Point = [number, number];
export type Status = "waiting" | "failed" | "open" | "signed" | "changed";
export type Verdict = "stable" | "unstable" | "undetermined";

export interface Line { site: string; kind: "wall" | "displacement" | "angle"; points: [Point, Point] }
export interface Ellipse { rx: number; ry: number; angle_deg: number }
export interface LevelRow { site: string; figures: [string, string][]; grade: string; slipped: boolean }
export interface FurtherTable { name: string; headings: string[]; rows: [string, string[]][] }

export interface Film {
  id: string; name: string; width: number; height: number; aspect: number;
  anterior: "left" | "right"; facing_source: string; spacing: string;
  posture: string | null; posture_source: string | null;
  version: number; kind: string; what: string; author: string; made_at: string; confidence: number;
  corners: Record<string, Point | null>; moved: string[]; ellipses: Record<string, Ellipse | null>;
  lines: Line[]; headings: string[]; levels: LevelRow[]; whole: [string, string][]; further: FurtherTable[];
  wedged: string[]; reasons: string[]; warnings: string[]; flags: string[];
}

export interface Said { criteria: string; verdict: Verdict; probability: string; reason: string }
export interface MotionRow {
  site: string; translation: string; slip_change: string; angulation: string; slip: string; slip_film: string;
  grade: string; verdict: Verdict; probability: string; reason: string; by_criteria: Said[];
}
export interface Motion {
  criteria: string; reason: string | null; lordosis_change_deg: number | null; levels: MotionRow[]; warnings: string[];
}
export interface SignOff { author: string; made_at: string; comment: string; versions: Record<string, number> }
export interface Study {
  id: string; name: string; status: Status; problem: string | null; added_at: string; added_by: string;
  films: Film[]; motion: Motion | null; sign_offs: SignOff[];
}
export interface Listed {
  id: string; name: string; status: Status; problem: string | null; films: number; doubt: number; flags: string[];
  added_at: string; signed_by: string | null;
}
export interface Worklist { total: number; counts: Partial<Record<Status, number>>; studies: Listed[] }
export interface Criteria { name: string; rule: string; source: string; remark: string }
export interface About {
  version: string; notice: string; annotate: boolean; author: string | null; criteria: Criteria[]; exports: string[];
}
export interface Version { version: number; parent: number | null; kind: string; what: string; author: string; made_at: string }
export interface Remeasured { film: Film; motion: Motion }

export type Action =
  | { action: "move"; corners: Record<string, Point | null> }
  | { action: "shift"; direction: "up" | "down" }
  | { action: "restore"; version: number }
  | { action: "turn" }
  | { action: "posture"; posture: string | null }
  | { action: "spacing"; row_mm: number; column_mm: number };

/** An answer that is not what was asked for; `current` names newer versions where somebody was faster. */
export class Refused extends Error {
  constructor(readonly status: number, message: string, readonly current?: Record<string, number>) {
    super(message);
  }
}

async function asked<T>(path: string, init: RequestInit = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...init });
  } catch {
    throw new Refused(0, "the server does not answer; nothing was kept");
  }
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  const said = (await answer.json().catch(() => ({}))) as { detail?: unknown; current?: Record<string, number> };
  const detail = Array.isArray(said.detail)
    ? said.detail.map((entry: { msg?: string }) => entry.msg ?? "").join("; ")
    : String(said.detail ?? answer.statusText);
  throw new Refused(answer.status, detail, said.current);
}

function sent<T>(path: string, body: unknown): Promise<T> {
  return asked<T>(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

const by = (criteria: string) => `?criteria=${encodeURIComponent(criteria)}`;

export const api = {
  about: () => asked<About>("/api/desk"),
  session: (token: string) => sent<void>("/api/session", { token }),
  worklist: (query: URLSearchParams) => asked<Worklist>(`/api/studies?${query}`),
  study: (id: string, criteria: string) => asked<Study>(`/api/studies/${id}${by(criteria)}`),
  upload: (form: FormData) => asked<Study>("/api/studies", { method: "POST", body: form }),
  example: (author: string) => asked<Study>(`/api/studies/example?author=${encodeURIComponent(author)}`, { method: "POST" }),
  sign: (id: string, versions: Record<string, number>, author: string, comment: string) =>
    sent<Study>(`/api/studies/${id}/sign-offs`, { versions, author, comment }),
  measure: (film: string, base: number, action: Action, criteria: string) =>
    sent<Remeasured>(`/api/films/${film}/measure${by(criteria)}`, { base, do: action }),
  correct: (film: string, base: number, action: Action, author: string, criteria: string) =>
    sent<Remeasured>(`/api/films/${film}/corrections${by(criteria)}`, { base, do: action, author }),
  versions: (film: string) => asked<Version[]>(`/api/films/${film}/versions`),
  exportPath: (id: string, format: string, criteria: string) => `/api/studies/${id}/export/${format}${by(criteria)}`,
  async pixels(film: string): Promise<ArrayBuffer> {
    const answer = await fetch(`/api/films/${film}/pixels`, { credentials: "same-origin" });
    if (!answer.ok) throw new Refused(answer.status, "the film's pixels cannot be had");
    return answer.arrayBuffer();
  },
};
