import assert from 'node:assert/strict';
import { choose } from '../../../src/agentHost/permissionChoice.ts';

const options = [
  { optionId: 'a', name: 'Always', kind: 'allow_always' },
  { optionId: 'b', name: 'Once', kind: 'allow_once' },
  { optionId: 'c', name: 'No', kind: 'reject_once' },
];

describe('The permission policy', () => {
  it('asks, allows edits, or allows all; once, by kind, never by id', () => {
    assert.equal(choose('ask', 'edit', options), undefined);
    assert.equal(choose('acceptEdits', 'edit', options)?.optionId, 'b');
    assert.equal(choose('acceptEdits', 'execute', options), undefined);
    assert.equal(choose('acceptEdits', undefined, options), undefined);
    assert.equal(choose('allowAll', 'execute', options)?.optionId, 'b');
  });
  it('asks when the agent offers nothing that allows', () => {
    assert.equal(choose('allowAll', 'execute', [{ optionId: 'c', name: 'No', kind: 'reject_once' }]), undefined);
  });
});
