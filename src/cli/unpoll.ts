/**
 * `multibinder unpoll SOCKETS SETS`, hidden: takes sockets out of epoll sets of another process.
 *
 * A process of its own, because a socket can only be taken out under the number that it had over there,
 * and that number is in use by something else in a wrapper.
 */

import { removeFromSet } from "../../ffi/epoll.ts";
import { EXIT } from "../errors.ts";

/** @param args numbers of the sockets, and of the sets, each separated by commas */
export function run([sockets = "", sets = ""]: readonly string[]): number {
  for (const set of numbers(sets)) {
    for (const socket of numbers(sockets)) removeFromSet(set, socket);
  }
  return EXIT.ok;
}

function numbers(list: string): number[] {
  return list.split(",").map(Number);
}
