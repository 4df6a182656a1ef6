// Talking to the server: one request of a kind at a time, and only the latest answer counts.

export async function choices() {
  return answer(await fetch("api/choices"));
}

async function post(name, body) {
  const response = await fetch(`api/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer(response);
}

async function answer(response) {
  const content = await response.json();
  if (!response.ok) throw new Error(content.error.message);
  return content;
}

/**
 * Return a function that asks the server to compute.
 *
 * While one request is under way, only the latest of those that follow is kept; so a slider or a
 * pen never builds up a queue. `shown` is called with the milliseconds that question, answer and
 * `show` took.
 */
export function computation(name, show, errorElement, shown) {
  let waiting = null;
  let busy = false;

  async function run() {
    while (waiting) {
      const body = waiting;
      waiting = null;
      try {
        const began = performance.now();
        show(await post(name, body));
        errorElement.hidden = true;
        shown?.(performance.now() - began);
      } catch (error) {
        errorElement.textContent =
          error instanceof TypeError ? "The server does not answer. Is it running?" : error.message;
        errorElement.hidden = false;
      }
    }
    busy = false;
  }

  return (body) => {
    waiting = body;
    if (!busy) {
      busy = true;
      run();
    }
  };
}
