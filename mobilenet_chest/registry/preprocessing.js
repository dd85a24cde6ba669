// Pictures of any size to the images that an exported classifier takes; the same as preprocessing.py, in JavaScript.

const PRECISION = 2 ** 22; // Pillow's weights are multiples of its inverse

// Return the image that a classifier takes: a Uint8Array of channels x size x size values.
// picture: {data, width, height, channels}, 8 bits a value, 1 or 3 channels, as rows of pixels.
// metadata: the object in metadata.json.
function prepare(picture, metadata) {
  const size = Number(metadata.image_size), channels = Number(metadata.channels);
  let image = {...picture, data: Float64Array.from(picture.data)};
  const stored = metadata.preparation;
  if (stored !== undefined) image = fitted(image, typeof stored === "string" ? JSON.parse(stored) : stored);
  if (image.channels === 3 && channels === 1) image = gray(image);
  if (image.width !== size || image.height !== size) {
    image = applied(applied(image, weights(image.width, size), 1), weights(image.height, size), 0);
    image.data = image.data.map((value) => Math.min(255, Math.max(0, rounded(value))));
  }
  const result = new Uint8Array(channels * size * size);
  for (let channel = 0; channel < channels; channel++)
    for (let place = 0; place < size * size; place++)
      result[channel * size * size + place] = image.data[place * image.channels + (image.channels === 3 ? channel : 0)];
  return result;
}

function fitted(image, {size, fit}) {
  const longer = Math.max(image.width, image.height);
  const [rows, columns] = [image.height, image.width].map((n) =>
    fit === "letterbox" ? Math.max(1, rounded(n * size / longer)) : size);
  for (const [axis, wanted] of [[1, columns], [0, rows]]) {
    const length = axis === 1 ? image.width : image.height;
    if (length === wanted) continue;
    const fixed = weights(length, wanted).map((row) =>
      ({first: row.first, values: row.values.map((w) => Math.trunc(w * PRECISION + (w < 0 ? -0.5 : 0.5)))}));
    image = applied(image, fixed, axis);
    image.data = image.data.map((sum) => Math.min(255, Math.max(0, Math.floor((sum + PRECISION / 2) / PRECISION))));
  }
  const data = new Float64Array(size * size * image.channels), width = columns * image.channels;
  const top = Math.floor((size - rows) / 2), left = Math.floor((size - columns) / 2);
  for (let row = 0; row < rows; row++)
    data.set(image.data.subarray(row * width, (row + 1) * width), ((top + row) * size + left) * image.channels);
  return {data, width: size, height: size, channels: image.channels};
}

function gray({data, width, height}) {
  const mixed = new Float64Array(width * height).map((_, place) => {
    const [red, green, blue] = data.subarray(3 * place, 3 * place + 3);
    return Math.floor((red * 19595 + green * 38470 + blue * 7471 + 0x8000) / 0x10000);
  });
  return {data: mixed, width, height, channels: 1};
}

// Apply weights to the columns (axis 1) or rows (axis 0) of an image.
function applied({data, width, height, channels}, matrix, axis) {
  const size = axis === 1 ? [matrix.length, height] : [width, matrix.length];
  const result = new Float64Array(size[0] * size[1] * channels);
  for (let row = 0; row < size[1]; row++)
    for (let column = 0; column < size[0]; column++) {
      const {first, values} = matrix[axis === 1 ? column : row];
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let k = 0; k < values.length; k++) {
          const place = axis === 1 ? row * width + first + k : (first + k) * width + column;
          sum += values[k] * data[place * channels + channel];
        }
        result[(row * size[0] + column) * channels + channel] = sum;
      }
    }
  return {data: result, width: size[0], height: size[1], channels};
}

// The weights of each new pixel, of a bicubic filter that is as wide as a new pixel: it is antialiased.
function weights(length, wanted) {
  const scale = length / wanted, wide = Math.max(scale, 1);
  return Array.from({length: wanted}, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - 2 * wide + 0.5), 0);
    const end = Math.min(Math.trunc(centre + 2 * wide + 0.5), length);
    const row = Array.from({length: end - first}, (_, k) => cubic((first + k - centre + 0.5) * (1 / wide)));
    const sum = row.reduce((total, value) => total + value, 0);
    return {first, values: row.map((value) => value / sum)};
  });
}

function cubic(signed) {
  const x = Math.abs(signed);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

// Halves go to the even number, as in Python.
function rounded(value) {
  const floor = Math.floor(value), rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

if (typeof module !== "undefined") module.exports = {prepare};
