using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// KPT's refinement by relevance (Hu et al. 2022, eq. 3 to 5): a word is described by its logits over N contexts. Its relevance to a label
/// is the cosine with that label's first word; it should be near to its own label and far from the others. The share of words that is kept
/// is the one whose last kept score is nearest to 1.
/// </summary>
public static class WordRelevance
{
    /// <summary>Keeps the relevant words of each label, the most relevant first.</summary>
    /// <param name="verbalizer">The verbalizer.</param>
    /// <param name="contexts">The logits of the vocabulary [N, V] in unlabelled contexts.</param>
    public static void Refine(KnowledgeableVerbalizer verbalizer, Tensor contexts)
    {
        ArgumentNullException.ThrowIfNull(verbalizer);
        var cosines = Cosines(verbalizer, contexts);
        var words = verbalizer.Table.Labels.Words;
        var ranked = words.Select((label, l) => label.Select((word, w) => (word, Score: Score(cosines[l][w], l)))
            .OrderByDescending(entry => entry.Score).ToList()).ToList();
        var rate = BestRate([.. ranked.Select(label => label.ConvertAll(entry => entry.Score))]);
        verbalizer.Use([.. ranked.Select(label =>
            (IReadOnlyList<string>)[.. label.Take(Math.Max(1, (int)(label.Count * rate))).Select(entry => entry.word)])]);
    }

    // For each word of each label, its cosine with the first word of every label.
    private static double[][][] Cosines(KnowledgeableVerbalizer verbalizer, Tensor contexts)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var words = verbalizer.Table.Project(contexts).permute(1, 2, 0).to(ScalarType.Float32);                   // [C, W, N]
        words = words - words.mean([-1], keepdim: true);
        words = words / words.norm(-1, keepdim: true).clamp(min: 1e-30);
        var first = words.select(1, 0);                                                                         // [C, N]
        var all = nn.functional.linear(words, first).to(ScalarType.Float64).cpu().contiguous();                  // [C, W, C]
        var flat = all.data<double>().ToArray();
        int labels = (int)all.size(0), count = (int)all.size(1);
        return [.. Enumerable.Range(0, labels).Select(l => Enumerable.Range(0, count)
            .Select(w => flat[(((l * count) + w) * labels)..(((l * count) + w + 1) * labels)]).ToArray())];
    }

    // r(own) / (Σ |r(other)|^p / (C − 1))^(1/p), with p = 1 + 10 / (C − 2 + 0.01); −100 for a word that is unlike its own label.
    private static double Score(double[] cosines, int label)
    {
        if (cosines[label] < 0) return -100;
        var order = (10 / (cosines.Length - 2 + 1e-2)) + 1;
        var others = cosines.Where((_, other) => other != label).Sum(cosine => Math.Pow(Math.Abs(cosine), order));
        return cosines[label] / (Math.Pow(others, 1 / order) / Math.Pow(cosines.Length - 1, 1 / order));
    }

    private static double BestRate(IReadOnlyList<IReadOnlyList<double>> scores)
    {
        var longest = scores.Max(label => label.Count);
        double Loss(double rate) => scores.Sum(label => Math.Pow(label[Math.Min(label.Count - 1, (int)(rate * label.Count))] - 1, 2));
        return Enumerable.Range(0, longest).Select(cut => (double)cut / longest).MinBy(Loss);
    }
}
