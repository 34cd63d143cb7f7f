import './app.css';
import { Shop } from './shop.js';

export const metadata = { title: 'Next.js, exported', icons: { icon: 'data:,' } };

const HANDLER = '<p id="handler" class="inline" onclick="this.dataset.clicked = \'yes\'">Inline</p>';

export default function Layout({ children }) {
  return (
    <html lang="en" data-inline="no" suppressHydrationWarning>
      <head>
        <style dangerouslySetInnerHTML={{ __html: '.inline { color: rgb(4, 5, 6); }' }} />
        <script dangerouslySetInnerHTML={{ __html: "document.documentElement.dataset.inline = 'yes';" }} />
      </head>
      <body>
        <div dangerouslySetInnerHTML={{ __html: HANDLER }} />
        <Shop />
        {children}
      </body>
    </html>
  );
}
