import { describe, expect, it } from 'vitest';
import type { CallQuality, QualityReview } from './api';
import { begun, corrections } from './judgement';

const question = (name: string, score: number | null): CallQuality['questions'][number] => ({
  name,
  title: {},
  score,
  evidence: [],
});
const questions = [question('greeting', 1), question('pace', 0.4), question('sorry', null)];
const own: QualityReview = {
  reviewer: 'sara',
  version: 2,
  at_unix_ms: 0,
  hidden: false,
  verdict: 'corrected',
  scores: [
    { question: 'greeting', built_in: 1, score: 0, comment: 'no name' },
    { question: 'pace', built_in: 0.4, score: 0.4, comment: '' },
    { question: 'sorry', built_in: null, score: null, comment: '' },
  ],
  comment: '',
};

describe('a review', () => {
  it('begins with what the scorecard says, or what one has said before', () => {
    expect(Object.values(begun(questions, null)).every(({ choice }) => choice === 'built_in')).toBe(true);
    expect(begun(questions, own)).toEqual({
      greeting: { choice: 0, comment: 'no name' },
      pace: { choice: 'built_in', comment: '' },
      sorry: { choice: 'built_in', comment: '' },
    });
  });

  it('says only what the scorecard does not', () => {
    expect(corrections(questions, begun(questions, null))).toEqual([]);
    const drafts = {
      greeting: { choice: 0.5, comment: '' },
      pace: { choice: 'built_in' as const, comment: ' just so ' },
      sorry: { choice: null, comment: ' ' },
    };
    expect(corrections(questions, drafts)).toEqual([
      { question: 'greeting', score: 0.5, comment: '' },
      { question: 'pace', score: 0.4, comment: 'just so' },
      { question: 'sorry', score: null, comment: '' },
    ]);
    expect(corrections(questions, {})).toEqual([]);
  });
});
