import { createRouter, createWebHistory } from 'vue-router'

const router = createRouter({
  history: createWebHistory(import.meta.env.BASE_URL),
  routes: [
    { path: '/more', component: () => import('../More.vue') },
    { path: '/:path(.*)*', component: () => import('../Home.vue') },
  ],
})

export default router
