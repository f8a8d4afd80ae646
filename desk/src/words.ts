import type { Status } from "./api";

export const STATUS: Record<Status, string> = {
  waiting: "being read", failed: "could not be read", open: "to sign", signed: "signed", changed: "changed since signed",
};

/** A moment as people here write it. */
export function moment(iso: string): string {
  return new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
