import { Routes } from '@angular/router';

export const routes: Routes = [
  { path: 'more', loadComponent: () => import('./more').then(({ More }) => More) },
  { path: '**', children: [] },
];
