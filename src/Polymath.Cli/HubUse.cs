using System.CommandLine;
using System.Runtime.InteropServices;
using Polymath.Text.Hubs;

namespace Polymath.Cli;

/// <summary>Accepts a hub's address wherever a folder may be named; the same option for every verb that may download.</summary>
internal sealed class HubUse
{
    internal const string Or = ", or hf:ORG/NAME[@REVISION] (modelscope:) for one on a hub.";

    private readonly Option<bool> offline = new("--offline") { Description = "Contacts no hub: files of hubs are read from the cache." };
    private readonly Terminal terminal = new(plain: Console.Error);

    internal void AddTo(Command command) => command.Add(offline);

    internal string Model(ParseResult parsed, string place) => Take(parsed, place, hub => hub.Model(place));

    internal string Tokenizer(ParseResult parsed, string place) => Take(parsed, place, hub => hub.Tokenizer(place));

    internal string? Adapter(ParseResult parsed, string? place) => place is null ? null : Take(parsed, place, hub => hub.Adapter(place));

    /// <summary>The hubs, for work with its own progress display.</summary>
    internal Hub Open(ParseResult parsed, Terminal shown, HubPins? pins = null) =>
        new(HubSettings.FromEnvironment(parsed.GetValue(offline)), pins, new Shown(shown));

    /// <summary>Runs work with the hubs and shows its progress.</summary>
    internal T Show<T>(ParseResult parsed, Func<Hub, T> work) => terminal.Show(() => work(Open(parsed, terminal)));

    private string Take(ParseResult parsed, string place, Func<Hub, string> take) =>
        Recipes.HubAddress.IsAddress(place) ? Show(parsed, take) : place;

    /// <summary>Shows the requests to a hub; an interrupted download keeps what has arrived.</summary>
    private sealed class Shown(Terminal terminal) : HubWatch
    {
        public override IDisposable Begin(Action stop) => new Interruption(stop);

        public override void Progress(string activity, long done, long total) =>
            terminal.Progress($"{activity} ({total / 1e6:N1} MB)", done, total);

        public override void Note(string text) => terminal.Note(text);
    }

    private sealed class Interruption : IDisposable
    {
        private readonly List<PosixSignalRegistration> signals;
        private bool asked;

        internal Interruption(Action stop) =>
            signals = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM }.Select(kind => PosixSignalRegistration.Create(kind, signal =>
            {
                // A second request stops at once.
                signal.Cancel = !asked;
                asked = true;
                stop();
            }))];

        public void Dispose() => signals.ForEach(signal => signal.Dispose());
    }
}
