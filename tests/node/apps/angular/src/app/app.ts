import { Component, signal } from '@angular/core';
import { RouterLink, RouterOutlet } from '@angular/router';
import { HubConnectionBuilder } from '@microsoft/signalr';

import { bff } from './bff';

@Component({
  imports: [RouterLink, RouterOutlet],
  selector: 'app-root',
  styleUrl: './app.css',
  templateUrl: './app.html',
})
export class App {
  protected readonly who = signal('…');
  protected readonly clicks = signal(0);
  protected readonly answer = signal('');
  protected readonly event = signal('');
  protected readonly said = signal('');

  constructor() {
    bff().then(async ({ user }) => {
      const claims = (await user()) ?? [];
      this.who.set(String(claims.find(({ type }) => type === 'name')?.value ?? 'nobody'));
    });
  }

  protected async login() {
    (await bff()).login();
  }

  protected async logout() {
    (await bff()).logout();
  }

  protected async call() {
    const { api } = await bff();
    this.answer.set(String((await api('/api/echo')).status));
  }

  protected listen() {
    new EventSource('/api/echo/events').onmessage = ({ data }) => this.event.set(data);
  }

  protected async hub() {
    // SignalR negotiates by POST.
    const hub = new HubConnectionBuilder().withUrl('/api/hub', { headers: { 'X-CSRF': '1' } }).build();
    await hub.start();
    this.said.set(await hub.invoke('Echo', 'hello'));
    await hub.stop();
  }
}
