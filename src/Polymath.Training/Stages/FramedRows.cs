using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;

namespace Polymath.Training.Stages;

/// <summary>
/// Rows of documents for a model that reads in both directions: each row has the tokens around it that the tokenizer gives a text.
/// Documents run on from row to row with a closing token between them (RoBERTa's FULL-SENTENCES, Liu et al. 2019), or each has rows of its
/// own. Tokens of text have weights, the others none.
/// </summary>
internal sealed class FramedRows
{
    private readonly StageSpec stage;
    private readonly BatchSpec batch;
    private readonly Tokenizer tokenizer;
    private readonly HashSet<int> specials;
    private readonly int[] open, close;
    private readonly int room;
    private readonly RowChanges changes = new();
    private readonly List<Item> items = [];
    private readonly List<int> rest = [];
    private (string Source, string? Data) begun;
    private long cut, tokens;
    private int documents;

    /// <summary>Rows of a stage.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="batch">The length of rows, and what happens to longer ones.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="frame">The tokens before and behind a text.</param>
    /// <exception cref="InputException">There is no room for a text.</exception>
    internal FramedRows(
        StageSpec stage,
        BatchSpec batch,
        Tokenizer tokenizer,
        (int[] Open, int[] Close) frame)
    {
        (this.stage, this.batch, this.tokenizer, open, close) = (stage, batch, tokenizer, frame.Open, frame.Close);
        specials = [.. tokenizer.SpecialTokens.Values];
        room = batch.MaxLength!.Value - open.Length - close.Length;
        if (room < 2)
            throw new InputException($"Stage {stage.Name}: rows of {batch.MaxLength} tokens leave no room for words beside the "
                + $"{open.Length + close.Length} special ones. Raise batch.maxLength.");
    }

    /// <summary>The rows so far.</summary>
    internal IReadOnlyList<Item> Items => items;

    /// <summary>What became of the documents.</summary>
    /// <param name="targets">How many tokens of a row are learned.</param>
    internal RowCounts Counts(Func<TokenRow, int> targets) => new(
        items.Count,
        items.Sum(item => (long)item.Tokens),
        items.Sum(item => (long)targets(item.Rows[0])),
        changes.All)
    {
        Documents = stage.FillsRows ? documents : null,
    };

    /// <summary>Adds a document.</summary>
    /// <param name="row">Its row.</param>
    /// <param name="text">Its text.</param>
    /// <exception cref="InputException">It is too long, and the policy refuses it.</exception>
    internal void Add(Row row, string text)
    {
        var ids = tokenizer.EncodePlain(text);
        if (ids.Length == 0) return;
        tokens += ids.Length;
        if (stage.FillsRows) Fill(row, ids);
        else Whole(row, ids);
    }

    private void Fill(Row row, int[] ids)
    {
        if (ids.Length > room && batch.Overlong is OverlongPolicy.Refuse or OverlongPolicy.Drop && Refused(row, ids.Length)) return;
        if (rest.Count > 0 && begun.Data != row.Data) Rest();
        documents++;
        if (rest.Count == 0) begun = (row.Name, row.Data);
        else rest.AddRange(close);
        rest.AddRange(ids);
        while (rest.Count >= room)
        {
            Put([.. rest.Take(room)], begun.Source, begun.Data);
            rest.RemoveRange(0, room);
            begun = (row.Name, row.Data);
        }
    }

    private void Whole(Row row, int[] ids)
    {
        if (ids.Length <= room)
        {
            Put(ids, row.Name, row.Data);
            return;
        }
        if (batch.Overlong is OverlongPolicy.Refuse or OverlongPolicy.Drop && Refused(row, ids.Length)) return;
        switch (batch.Overlong)
        {
            case OverlongPolicy.Split:
                changes.Count($"split into pieces of {batch.MaxLength:N0} tokens", false, row.Name);
                for (var at = 0; at < ids.Length; at += room) Put(ids[at..Math.Min(ids.Length, at + room)], row.Name, row.Data);
                return;
            default:
                changes.Count($"cut to {batch.MaxLength:N0} tokens", false, row.Name);
                cut += ids.Length - room;
                Put(ids[..room], row.Name, row.Data);
                return;
        }
    }

    // A document that is too long is left out, and counted, or ends the stage.
    private bool Refused(Row row, int length)
    {
        if (batch.Overlong == OverlongPolicy.Refuse)
            throw new InputException($"Stage {stage.Name}: {row.Name} has {length} tokens, more than the {room} allowed beside the special "
                + "ones, and batch.overlong is refuse. Choose cut, split or drop, or raise maxLength.");
        changes.Count($"left out: longer than {batch.MaxLength:N0} tokens", true, row.Name);
        return true;
    }

    /// <summary>Adds what is left of the last document, and checks how much was cut.</summary>
    /// <exception cref="InputException">More was cut than the stage allows.</exception>
    internal void Finish()
    {
        Rest();
        if (cut > batch.MaxCut * tokens)
            throw new InputException($"Stage {stage.Name} would cut off {100.0 * cut / tokens:0.#} % of its tokens, more than batch.maxCut "
                + $"{batch.MaxCut} allows. Raise batch.maxLength, or write overlong: split.");
    }

    private void Rest()
    {
        if (rest.Count > 0) Put([.. rest], begun.Source, begun.Data);
        rest.Clear();
    }

    // A row of special tokens alone says nothing, and one of a single word leaves nothing to read.
    private void Put(int[] ids, string source, string? data)
    {
        float[] learn = [.. new float[open.Length], .. ids.Select(id => specials.Contains(id) ? 0f : 1f), .. new float[close.Length]];
        if (learn.Count(weight => weight != 0) > 1) items.Add(new Item([new TokenRow([.. open, .. ids, .. close], learn, source, data)]));
        else changes.Count("left out: fewer than two words", true, source);
    }
}
