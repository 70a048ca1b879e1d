using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;

namespace Polymath.Training.Stages;

/// <summary>
/// Refuses rows whose targets a model would read before it foretells them: one that reads a row in both directions up to a token needs that
/// token before all that it learns.
/// </summary>
internal static class PromptEndCheck
{
    /// <summary>Refuses a row.</summary>
    /// <param name="stage">The stage's name.</param>
    /// <param name="row">The row.</param>
    /// <param name="promptEnd">The token; null for a model that reads forward.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">The row has no such token, or learns something before it.</exception>
    internal static void Refuse(string stage, TokenRow row, int? promptEnd, Tokenizer tokenizer)
    {
        if (promptEnd is not { } end) return;
        var at = row.Ids.AsSpan().IndexOf(end);
        // The first token of a row is never foretold.
        for (var i = 1; i < row.Length; i++)
        {
            if (row.Learn[i] != 0 && (at < 0 || i <= at)) throw Fault(stage, row.Source, at < 0, Name(end, tokenizer));
        }
    }

    /// <summary>Refuses a prompt behind which an answer is to begin.</summary>
    /// <param name="stage">The stage's name.</param>
    /// <param name="source">The prompt's name in messages.</param>
    /// <param name="ids">Its tokens.</param>
    /// <param name="promptEnd">The token; null for a model that reads forward.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="InputException">The prompt does not have the token.</exception>
    internal static void Refuse(
        string stage,
        string source,
        int[] ids,
        int? promptEnd,
        Tokenizer tokenizer)
    {
        if (promptEnd is { } end && !ids.Contains(end)) throw Fault(stage, source, missing: true, Name(end, tokenizer));
    }

    private static string Name(int id, Tokenizer tokenizer) => id < tokenizer.VocabularySize ? tokenizer.TokenOf(id) : $"{id}";

    private static InputException Fault(string stage, string source, bool missing, string token) => new(
        $"Stage {stage}: {source} {(missing ? $"has no token {token}" : $"learns something before its token {token}")}. This model reads a "
            + $"row in both directions up to {token}, and all of a row that does not have it: it would see the answer that it should "
            + $"foretell. Leave chat.template out, or write chat: {{template: chatglm}}; a template of your own must print [gMASK]{token} "
            + "between the question and the answer.");
}
