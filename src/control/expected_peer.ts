/** Who is meant to answer at a control socket, in words for the person who asked, and by user. */

/** The words for one kind of peer. */
export interface ExpectedPeer {
  /** Says that no such one is there, before " at PATH". */
  nobody: string;
  /** What may have been forgotten when nobody listens. */
  hint: string;
  /** Where permission to connect is given. */
  access: string;
  /** Says that who answers is something else. */
  isNot: string;
  /** Who it is that does not know what it was asked for, and what to do about it. */
  instead: string;
  /** The user that it runs as, when that is neither root nor our own. */
  uid?: number | undefined;
}

/** Binders and wrappers have the same kind of control socket, and are easily mistaken for each other. */
export const PEERS = {
  binder: {
    nobody: "no binder",
    hint: "is `multibinder bind` running?",
    access: "see the binder's --mode and --group",
    isNot: "is no binder",
    instead: "it is a wrapper, or an older binder; name a binder's control socket",
  },
  wrapper: {
    nobody: "no wrapper",
    hint: "is `multibinder exec` running, with that path as its --control?",
    access: "a wrapper's control socket is for root and the wrapper's own user",
    isNot: "is no wrapper",
    instead: "it is a binder, or an older wrapper; name a wrapper's control socket",
  },
  either: {
    nobody: "neither a binder nor a wrapper",
    hint: "is `multibinder bind` running, or `multibinder exec` with that path as its --control?",
    access: "see a binder's --mode and --group; a wrapper's is for root and its own user",
    isNot: "is neither a binder nor a wrapper",
    instead: "it is an older binder or wrapper",
  },
} satisfies Record<string, ExpectedPeer>;
