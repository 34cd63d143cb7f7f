import { Component } from '@angular/core';

@Component({ selector: 'app-more', template: '<p id="lazy">More</p>' })
export class More {}
