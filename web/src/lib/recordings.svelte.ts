// Recordings of calls that were made elsewhere, as supervisors add them and see what becomes of them.

import { api, type ApiError, type NewRecording, type RecordingList } from './api';
import { ltr, t } from './i18n/index.svelte';
import { reasonOf } from './names';
import { Queue } from './queue.svelte';
import { session } from './session.svelte';

const PROBLEMS = ['too_large', 'full', 'invalid'] as const;

/** Why a recording of this name was not taken. */
function problemOf(error: ApiError, name: string): string {
  const known = PROBLEMS.find((one) => one === error.code);
  return known ? t(`recordings.problem.${known}`, { name, why: ltr(error.message) }) : reasonOf(error);
}

export class Recordings extends Queue<RecordingList> {
  /** What is being uploaded. */
  uploading: string | null = $state.raw(null);

  constructor() {
    super('waiting', api.recordings, api.runRecording);
  }

  /** One after the other, until one is refused; whether all were taken. */
  async upload(files: Iterable<File>, about: NewRecording): Promise<boolean> {
    this.problem = '';
    for (const file of files) {
      this.uploading = file.name;
      try {
        await api.uploadRecording(file, about);
      } catch (error) {
        this.problem = problemOf(session.refused(error), file.name);
        break;
      }
    }
    this.uploading = null;
    this.show('waiting');
    return this.problem === '';
  }
}
