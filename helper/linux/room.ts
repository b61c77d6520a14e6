/* koffi refuses more than 256 asynchronous calls at a time (max_async_calls); a list of many devices asks for more. */
const MOST = 128;

let underWay = 0;
const waiting: (() => void)[] = [];

/** Makes an asynchronous call of koffi's, at once or as soon as there is room for it, in the order of asking. */
export async function whenRoom<T>(call: () => Promise<T>): Promise<T> {
  if (underWay < MOST) {
    underWay++;
  } else {
    // The one that ends hands its place over, so that nobody slips in between.
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  try {
    return await call();
  } finally {
    const next = waiting.shift();
    if (next) {
      next();
    } else {
      underWay--;
    }
  }
}
