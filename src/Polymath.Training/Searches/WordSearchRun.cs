using Polymath.Recipes;
using Polymath.Text;
using Polymath.Tuning.Prompts.Searches;
using static TorchSharp.torch;

namespace Polymath.Training.Searches;

/// <summary>
/// A search for label words (LM-BFF, Gao et al. 2021, section 5.1): of each label the words that the model itself expects at the answer's
/// place, all combinations on the training rows, and the best of them on the development split.
/// </summary>
/// <param name="task">The task.</param>
/// <param name="likely">How many words of a label are combined.</param>
/// <param name="tried">How many combinations are tried on the development split.</param>
internal sealed class WordSearchRun(SearchTask task, int likely, int tried)
{
    // As many combinations as can be counted in a moment.
    private const double MostCombinations = 200000;

    /// <summary>The combinations to try, the best on the training rows first.</summary>
    /// <exception cref="InputException">There are too many combinations, or a label has no word.</exception>
    internal IReadOnlyList<(IReadOnlyDictionary<string, IReadOnlyList<string>> Words, double Accuracy)> Chosen()
    {
        if (Math.Pow(likely, task.Labels.Count) > MostCombinations)
            throw new InputException($"{likely} words for each of {task.Labels.Count} labels have more than {MostCombinations:N0} "
                + $"combinations. Write --candidates {(int)Math.Pow(MostCombinations, 1.0 / task.Labels.Count)} or less.");
        var allowed = SearchWords.Allowed(task.Model.Tokenizer);
        List<long> labels = [.. task.Train.Select(row => (long)task.NumberOf(row))];
        using var logits = task.AllLogits(task.Asked(task.Template, task.Train));
        using var scope = NewDisposeScope();
        var scores = logits.log_softmax(-1);
        var found = LabelWordSearch.Likely(
            scores,
            labels,
            likely,
            allowed.ContainsKey);
        var best = LabelWordSearch.Top(
            LabelWordSearch.Combinations(scores, labels, [.. found.Select(TokensOf)])
                .Where(choice => choice.Words.Distinct().Count() == choice.Words.Length),
            tried);
        static IReadOnlyList<long> TokensOf(IReadOnlyList<(long Token, double Score)> words) => [.. words.Select(word => word.Token)];
        IReadOnlyDictionary<string, IReadOnlyList<string>> WordsOf(WordChoice choice) => task.Labels
            .Select((label, i) => (label, Word: allowed[(int)choice.Words[i]]))
            .ToDictionary(pair => pair.label, pair => (IReadOnlyList<string>)[pair.Word]);
        return [.. best.Select(choice => (WordsOf(choice), choice.Accuracy))];
    }
}

/// <summary>The tokens that may stand as words in a template or for a label.</summary>
internal static class SearchWords
{
    /// <summary>The tokens that are whole words, each with the text that gives the token again.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    internal static IReadOnlyDictionary<int, string> Allowed(Tokenizer tokenizer)
    {
        var special = tokenizer.SpecialTokens.Values.ToHashSet();
        var allowed = new Dictionary<int, string>();
        for (var id = 0; id < tokenizer.VocabularySize; id++)
        {
            if (special.Contains(id) || tokenizer.TokenOf(id).Length == 0) continue;
            var text = tokenizer.Decode([id]);
            var bare = text.Trim();
            if (bare.Length == 0 || bare.Any(c => !char.IsLetterOrDigit(c))) continue;
            if (Is(" " + bare, id)) allowed[id] = Is(bare, id) ? bare : " " + bare;
            else if (Is(bare, id)) allowed[id] = bare;
        }
        return allowed;
        bool Is(string word, int id) => tokenizer.EncodePlain(word) is [var only] && only == id;
    }
}
