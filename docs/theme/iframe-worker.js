// A page that was opened as a file may not start a worker, and the theme's search is one. Its script then runs in a hidden
// frame, which looks like a worker from either side. Served pages have real workers.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = "<!doctype html><body>"
      this.ready = new Promise((resolve, reject) => {
        frame.addEventListener("load", () => {
          const inside = frame.contentWindow
          const load = (address) => new Promise((loaded, failed) => {
            const script = inside.document.createElement("script")
            script.src = new URL(address, location)
            script.onload = loaded
            script.onerror = () => failed(new Error(`cannot load ${address}`))
            inside.document.body.append(script)
          })
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
          // In the order of the arguments: each may need what the one before it defines.
          inside.importScripts = (...addresses) => addresses.reduce((before, one) => before.then(() => load(one)), Promise.resolve())
          load(url).then(() => resolve(inside), reject)
        })
      })
      document.documentElement.append(frame)
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data })))
    }
  }
}
