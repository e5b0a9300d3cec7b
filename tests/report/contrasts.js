// The contrast of every text, and of every mark of a chart, with what lies behind it.
// Source: WCAG 2.1, "contrast ratio" and "relative luminance".
(() => {
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number)
    return { r, g, b, a }
  }
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map(v => {
      const part = v / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b)
    return (high + 0.05) / (low + 0.05)
  }
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const found = parse(getComputedStyle(e).backgroundColor)
      if (found.a === 1) return found
    }
    return { r: 255, g: 255, b: 255, a: 1 }
  }
  const shown = element => {
    const box = element.getBoundingClientRect()
    return box.width > 0 && box.height > 0
  }

  const texts = new Map()
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement
    if (!walker.currentNode.data.trim() || !shown(element)) continue
    if (element.closest('.unseen, .symbols, .skip, svg title, svg desc')) continue
    const style = getComputedStyle(element)
    const colour = element.closest('svg') ? style.fill : style.color
    const ground = behind(element)
    // A text on a chart may stand on the side of a threshold that is breached, too.
    const wash = element.closest('figure svg')?.querySelector('.beyond')
    const grounds = wash ? [ground, parse(getComputedStyle(wash).fill)] : [ground]
    for (const each of grounds) {
      const found = { colour, ground: JSON.stringify(each), text: walker.currentNode.data.slice(0, 40),
        contrast: contrast(parse(colour), each) }
      texts.set(`${element.localName} ${element.className?.baseVal ?? element.className} ${colour} ${found.ground} ${texts.size % 60}`, found)
    }
  }

  const marks = new Map()
  const selector = 'rect.now, rect.before, rect.bad, .dot, .line, .limit:not(text), .mean, .notch, .gap'
  for (const mark of document.querySelectorAll(selector)) {
    const style = getComputedStyle(mark)
    const filled = style.fill !== 'none' && !mark.matches('.line, .limit, .mean.before')
    const colour = filled ? style.fill : style.stroke
    const ground = behind(mark)
    marks.set(`${mark.className.baseVal} ${colour} ${JSON.stringify(ground)}`,
      { mark: mark.className.baseVal, colour, contrast: contrast(parse(colour), ground) })
  }
  return { texts: [...texts.values()], marks: [...marks.values()] }
})()
