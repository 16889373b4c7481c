"use strict";
(() => {
  // A list is had by a command, which one click copies; where that is not allowed, it is marked instead.
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      let said = "Copied";
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
      } catch {
        getSelection().selectAllChildren(button.parentElement.querySelector("code"));
        said = "Marked";
      }
      const shown = button.firstElementChild, told = document.getElementById("said");
      shown.textContent = told.textContent = said;
      setTimeout(() => { shown.textContent = "Copy"; told.textContent = ""; }, 2000);
    });
  }

  const figure = document.getElementById("turnable");
  const live = figure.querySelector(".live");
  const turn = figure.querySelector(".turn");
  const { eye, segments, axes } = JSON.parse(document.getElementById("points").textContent);
  const start = { x: eye[0], y: eye[1], z: eye[2] };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Plotly draws some shapes larger than others.
  const sizes = { diamond: 3, square: 3.2, cross: 5, x: 4 };

  // Plotly is large: it is unpacked and run only when its picture comes near.
  async function unpack() {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  function traces() {
    return segments.map((segment) => ({
      type: "scatter3d", mode: "markers", name: segment.name, hoverinfo: "name",
      x: segment.x, y: segment.y, z: segment.z,
      marker: { size: sizes[segment.symbol] || 4, symbol: segment.symbol, color: colour(`--seg-${segment.number}`), opacity: 0.85 },
    }));
  }

  function layout(camera) {
    const axis = (title) => ({
      title: { text: title }, color: colour("--soft"), gridcolor: colour("--line"), zerolinecolor: colour("--base"),
      showbackground: false, showspikes: false, nticks: 5,
    });
    return {
      margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, DejaVu Sans, sans-serif", size: 12 },
      scene: {
        xaxis: axis(axes[0]), yaxis: axis(axes[1]), zaxis: axis(axes[2]),
        camera: { eye: camera, projection: { type: "orthographic" } }, dragmode: "orbit", aspectmode: "manual",
        aspectratio: { x: 1.25, y: 1.25, z: 1.25 },
      },
    };
  }

  const now = () => live._fullLayout.scene._scene.getCamera().eye;
  const draw = (camera) => Plotly.react(live, traces(), layout(camera), { displayModeBar: false, scrollZoom: false, responsive: true });

  function moved(by, tilt) {
    const { x, y, z } = now();
    const across = Math.hypot(x, y), length = Math.hypot(across, z);
    const angle = Math.atan2(y, x) + (by * Math.PI) / 180;
    const height = Math.min(1.5, Math.max(-1.5, Math.atan2(z, across) + (tilt * Math.PI) / 180));
    const flat = length * Math.cos(height);
    return { x: flat * Math.cos(angle), y: flat * Math.sin(angle), z: length * Math.sin(height) };
  }

  async function show() {
    try {
      if (!document.createElement("canvas").getContext("webgl")) throw new Error("no WebGL");
      await unpack();
      live.hidden = false;
      await draw(start);
      figure.classList.add("is-live");
      turn.hidden = false;
      // One turn after the other, each from where the last one led.
      let drawn = Promise.resolve();
      turn.addEventListener("click", ({ target }) => {
        const { turn: by, tilt, reset } = target.dataset;
        if (!target.matches("button")) return;
        drawn = drawn.then(() => draw(reset === undefined ? moved(Number(by || 0), Number(tilt || 0)) : start));
      });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(now()));
    } catch (error) {
      live.hidden = true;
      figure.querySelector(".state").textContent = "This browser cannot turn the picture; it is shown from one side.";
    }
  }

  const near = new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) return;
    near.disconnect();
    show();
  }, { rootMargin: "600px" });
  near.observe(figure);
})();
