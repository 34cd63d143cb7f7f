export default function More() {
  return <p id="lazy">More</p>;
}
