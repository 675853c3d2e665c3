// onnxruntime as a peer: float32, on the CPU, through its Node binding. The
// models are those of onnx_models.py, in the folder of the first argument.
"use strict";

const fs = require("fs");
const readline = require("readline");
const ort = require("onnxruntime-node");

const clock = () => Number(process.hrtime.bigint()) * 1e-9;

const caseOfLine = (line) =>
  Object.fromEntries(line.trim().split(" ").map((word) => word.split("=")));

const randomTensor = (...dims) => {
  const values = new Float32Array(dims.reduce((a, b) => a * b, 1));
  for (let i = 0; i < values.length; i++) values[i] = Math.random() - 0.5;
  return new ort.Tensor("float32", values, dims);
};

// as in peer.h
const fastestCall = async (call, budget) => {
  const timed = async (n) => {
    const start = clock();
    for (let i = 0; i < n; i++) await call();
    return (clock() - start) / n;
  };
  let best = await timed(1);
  if (best > 2) return best;
  best = await timed(1);
  const n = best < 1e-3 ? Math.floor(2e-3 / (best + 1e-9)) + 1 : 1;
  const end = clock() + budget;
  while (best < budget && clock() < end) best = Math.min(best, await timed(n));
  return best;
};

const feedsOf = (one, T) => {
  const B = Number(one.B);
  const x = () => randomTensor(B, T, one.kind === "attention" ? one.N * one.K : Number(one.D));
  const feeds = one.kind === "attention" ? { q: x(), k: x(), v: x() } : { x: x() };
  if (one.mask === "padding") {
    const keep = Int32Array.from({ length: B * T }, (_, i) => (i % T < T - (T >> 2) ? 1 : 0));
    feeds.keep = new ort.Tensor("int32", keep, [B, T]);
  }
  return feeds;
};

const openSession = (one) => {
  const kind = one.kind === "memory" ? "layer" : one.kind;
  const file = [kind, one.D, one.N, one.K, one.mask, one.C].join("-") + ".onnx";
  return ort.InferenceSession.create(`${process.argv[2]}/${file}`, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    intraOpNumThreads: Number(one.threads),
    interOpNumThreads: 1,
  });
};

const memoryStatus = (field) => {
  const status = fs.readFileSync("/proc/self/status", "utf8");
  return 1024 * Number(status.match(new RegExp(`^${field}:\\s*(\\d+)`, "m"))[1]);
};

// peak memory of one call beyond what the process held before it
const memoryGrowth = async (session, one) => {
  await session.run(feedsOf(one, 64));
  const feeds = feedsOf(one, Number(one.T));
  fs.writeFileSync("/proc/self/clear_refs", "5");
  const before = memoryStatus("VmRSS");
  const start = clock();
  await session.run(feeds);
  return `${clock() - start} ${memoryStatus("VmHWM") - before}`;
};

const answer = async (one) => {
  if (one.kind === "hello") {
    return `0 ${require("onnxruntime-node/package.json").version}, Node ${process.versions.node}`;
  }
  if (one.dtype === "float64") return "skip its node is float32 only";
  if (one.variant !== "plain" || one.mask === "window" || one.N !== one.G) return "skip not there";
  // with a mask the scores of all heads are in memory at once
  const bytes = one.mask === "full" ? 0 : 4 * one.B * one.N * one.T * one.T;
  if (bytes > Number(process.env.BENCH_LIMIT_BYTES || 9.6e9)) return "skip too much memory";
  const session = await openSession(one);
  try {
    if (one.kind === "memory") return await memoryGrowth(session, one);
    const feeds = feedsOf(one, Number(one.T));
    return String(await fastestCall(() => session.run(feeds), Number(one.seconds)));
  } finally {
    await session.release(); // ends its threads, which would spin beside the next peer
  }
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let text;
    try {
      text = await answer(caseOfLine(line));
    } catch (error) {
      text = `skip ${String(error.message).replace(/\s+/g, " ")}`;
    }
    process.stdout.write(text + "\n");
    if (global.gc) global.gc();
  }
})();
