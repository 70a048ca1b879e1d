using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Text;

namespace Polymath.Models;

/// <summary>
/// The values that a family's fresh weights have where they are not the usual ones (normal around zero, biases zero, norms one): those of
/// transformers' <c>_init_weights</c>, and of the published code where that leaves them out.
/// </summary>
public sealed class InitialValues
{
    private readonly List<(Regex Name, Func<RandomStream, long[], float[]> Make)> rules = [];

    /// <summary>The standard deviation of all other maps.</summary>
    public double Spread { get; private init; } = 0.02;

    /// <summary>The values of a family.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    public static InitialValues Of(JsonObject configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        var read = new ConfigReader(configuration);
        var type = read.Text("model_type", "");
        var made = new InitialValues { Spread = read.Double("initializer_range", read.Double("init_std", 0.02)) };
        switch (type)
        {
            case "gpt2": made.Gpt2(read); break;
            case "t5" or "mt5": made.T5(read); break;
            case "modernbert": made.ModernBert(read); break;
            case "mamba2": made.Mamba2(read); break;
            case "qwen3_next" or "qwen3_5_text" or "qwen3_5_moe_text":
                made.Constant(@"\.dt_bias", 1);
                made.Add(@"\.A_log", (random, shape) => Each(shape, () => Math.Log(16 * (1 - random.NextDouble()))));
                break;
            case "gpt_oss":
                made.Constant("_proj_bias", 0);
                made.Normal(@"router\.bias", made.Spread);
                break;
            case "distilbert" when read.Bool("sinusoidal_pos_embds", false):
                // Sine and cosine take turns.
                made.Add("position_embeddings", (_, shape) => Sinusoids(
                    shape, (place, column) => place * Wave(column / 2 * 2, shape[1]), column => column % 2 == 0));
                break;
            case "pegasus":
                // The first half of a vector has the sines, the second half the cosines.
                made.Add("embed_positions", (_, shape) => Sinusoids(
                    shape, (place, column) => place * Wave(2 * (column % Half(shape)), shape[1]), column => column < Half(shape)));
                break;
        }
        return made;
    }

    /// <summary>The values of a weight; null for the usual ones.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="name">The weight's name in files.</param>
    /// <param name="shape">Its shape.</param>
    internal float[]? Make(long seed, string name, long[] shape)
    {
        foreach (var (pattern, make) in rules)
            if (pattern.IsMatch(name)) return make(new RandomStream(seed, name), shape);
        return null;
    }

    private void Add(string name, Func<RandomStream, long[], float[]> make) =>
        rules.Add((new Regex(name, RegexOptions.CultureInvariant), make));

    private void Constant(string name, double value) => Add(name, (_, shape) => Each(shape, () => value));

    private void Normal(string name, double spread) => Add(name, (random, shape) => Each(shape, () => random.NextNormal() * spread));

    private void Uniform(string name, Func<long[], double> bound) => Add(name, (random, shape) =>
    {
        var most = bound(shape);
        return Each(shape, () => (2 * random.NextDouble() - 1) * most);
    });

    // Values beyond so many deviations are drawn again.
    private void Truncated(string name, double spread, double most) => Add(name, (random, shape) => Each(shape, () =>
    {
        double value;
        do value = random.NextNormal();
        while (Math.Abs(value) > most);
        return value * spread;
    }));

    private static float[] Each(long[] shape, Func<double> draw)
    {
        var values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        for (var i = 0; i < values.Length; i++) values[i] = (float)draw();
        return values;
    }

    private static long Half(long[] shape) => (shape[1] + 1) / 2;

    private static double Wave(long column, long width) => Math.Pow(10000, -(double)column / width);

    private static float[] Sinusoids(long[] shape, Func<long, long, double> angle, Func<long, bool> isSine)
    {
        var values = new float[shape[0] * shape[1]];
        for (var i = 0L; i < values.Length; i++)
        {
            var turned = angle(i / shape[1], i % shape[1]);
            values[i] = (float)(isSine(i % shape[1]) ? Math.Sin(turned) : Math.Cos(turned));
        }
        return values;
    }

    // Radford et al. 2019: the maps back into the stream are scaled by 1/√N, N the parts that add to it. (transformers 5.12 means to.)
    private void Gpt2(ConfigReader read) => Normal(@"\.c_proj\.weight", Spread / Math.Sqrt(2 * read.Int("n_layer", 12)));

    private void T5(ConfigReader read)
    {
        int hidden = read.Int("d_model"), width = read.Int("d_kv"), inner = read.Int("d_ff"), heads = read.Int("num_heads");
        var factor = read.Double("initializer_factor", 1);
        void Map(string name, double count) => Normal(name, factor / Math.Sqrt(count));
        Constant(@"(layer_)?norm\.weight", factor);
        Map(@"^(transformer\.)?shared\.weight|^lm_head\.weight|^classifier\.weight", 1);
        Map(@"Attention\.q\.weight", (double)hidden * width);
        Map(@"Attention\.[kv]\.weight", hidden);
        Map(@"Attention\.o\.weight", (double)heads * width);
        Map(@"relative_attention_bias\.weight|\.wi(_\d)?\.weight|^classification_head\..*weight", hidden);
        Map(@"\.wo\.weight", inner);
    }

    private void ModernBert(ConfigReader read)
    {
        double most = read.Double("initializer_cutoff_factor", 2), small = Spread / Math.Sqrt(2.0 * read.Int("num_hidden_layers"));
        Truncated(@"\.Wo\.weight|^head\.dense\.weight|^decoder\.weight", small, most);
        Truncated(@"^classifier\.weight", Math.Pow(read.Int("hidden_size"), -0.5), most);
        Truncated(@"\.(Wi|Wqkv|tok_embeddings)\.weight", Spread, most);
    }

    private void Mamba2(ConfigReader read)
    {
        Add(@"\.A_log", (_, shape) => [.. Enumerable.Range(1, (int)shape[0]).Select(head => MathF.Log(head))]);
        double least = Math.Log(read.Double("time_step_min", 0.001)), most = Math.Log(read.Double("time_step_max", 0.1)),
            floor = read.Double("time_step_floor", 1e-4);
        // What softplus makes of it is a step between the two, even in its logarithm.
        Add(@"\.dt_bias", (random, shape) => Each(shape, () =>
        {
            var step = Math.Max(Math.Exp(random.NextDouble() * (most - least) + least), floor);
            return step + Math.Log(1 - Math.Exp(-step));
        }));
        Uniform(@"\.conv1d\.weight", shape => 1 / Math.Sqrt(shape[1] * shape[2]));
        var shrink = read.Bool("rescale_prenorm_residual", false) ? Math.Sqrt(read.Int("num_hidden_layers")) : 1;
        Uniform(@"\.out_proj\.weight", shape => 1 / Math.Sqrt(shape[1]) / shrink);
    }
}
