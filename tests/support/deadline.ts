/**
 * How long anything may take before a test fails, in milliseconds. No test waits for it to pass, so it is as long as
 * a machine with much other work may need.
 */
export const PATIENCE = 60_000;

/**
 * Makes a test fail rather than hang.
 * @param why what to say, at the time
 */
export async function withDeadline<T>(promise: Promise<T>, why: () => string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const fail = () => reject(new Error(`${why()}: nothing in ${PATIENCE / 1000} s`));
  const timer = setTimeout(fail, PATIENCE);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
