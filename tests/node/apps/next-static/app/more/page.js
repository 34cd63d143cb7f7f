export default function Page() {
  return <p id="lazy">More</p>;
}
