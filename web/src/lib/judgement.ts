// What somebody is about to say of how good a call was, question by question.

import type { CallQuality, QualityReview } from './api';

/** What somebody chooses for a question: what the scorecard says, a score, or that it cannot be judged. */
export type Choice = 'built_in' | number | null;

/** What is offered besides what the scorecard says. */
export const CHOICES: readonly Choice[] = [1, 0.5, 0, null];

export interface Draft {
  choice: Choice;
  comment: string;
}

type Question = CallQuality['questions'][number];

/** What somebody begins with: what they have said before, or what the scorecard says. */
export function begun(questions: readonly Question[], own: QualityReview | null): Record<string, Draft> {
  const draft = ({ name, score }: Question): Draft => {
    const said = own?.scores.find(({ question }) => question === name);
    return { choice: !said || said.score === score ? 'built_in' : said.score, comment: said?.comment ?? '' };
  };
  return Object.fromEntries(questions.map((question) => [question.name, draft(question)]));
}

/** What is to be kept of it: only what the scorecard does not say. */
export function corrections(
  questions: readonly Question[],
  drafts: Record<string, Draft>,
): { question: string; score: number | null; comment: string }[] {
  return questions.flatMap(({ name, score }) => {
    const draft: Draft = drafts[name] ?? { choice: 'built_in', comment: '' };
    const { choice, comment } = draft;
    if (choice === 'built_in' && !comment.trim()) return [];
    return { question: name, score: choice === 'built_in' ? score : choice, comment: comment.trim() };
  });
}
